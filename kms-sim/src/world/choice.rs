//! What the numbers of a step choose from: values on both sides of every limit, good ones more often than bad ones.

use kms_store::fault::SyncFault;

use crate::model::Payload;

pub(super) const SPECS: [&str; 10] = [
    "Aliyun_AES_256",
    "Aliyun_AES_128",
    "Aliyun_AES_192",
    "Aliyun_SM4",
    "EC_P256",
    "EC_P256K",
    "EC_SM2",
    "EC_SM2",
    "Aliyun_AES_256",
    "AES_256",
];
pub(super) const USAGES: [Option<&str>; 8] =
    [None, None, Some("ENCRYPT/DECRYPT"), None, Some("ENCRYPT/DECRYPT"), None, Some("SIGN/VERIFY"), Some("sign")];
pub(super) const INTERVALS: [&str; 10] = ["7d", "8d", "604800s", "168h", "730d", "604799s", "731d", "7x", "", "43200m"];
/// WrappingKeySpec and WrappingAlgorithm. RSA keys take long to draw.
pub(super) const WRAPPINGS: [(&str, &str); 16] = {
    let mut all = [("EC_SM2", "SM2PKE"); 16];
    all[12] = ("RSA_2048", "RSAES_OAEP_SHA_256");
    all[13] = ("RSA_2048", "SM2PKE");
    all[14] = ("EC_SM2", "SM2");
    all[15] = ("EC_P256", "SM2PKE");
    all
};
/// KeyMaterialExpireUnix in seconds from now; the least number stands for 0, which is never.
pub(super) const EXPIRIES: [Option<i64>; 12] = [
    None,
    Some(30 * 86_400),
    Some(86_400),
    Some(3600),
    None,
    Some(i64::MIN),
    Some(0),
    Some(1),
    Some(7 * 86_400),
    Some(10 * 86_400),
    Some(-1),
    Some(-4_000_000_000),
];
pub(super) const ALGORITHMS: [&str; 8] = [
    "ECDSA_SHA_256",
    "SM2DSA",
    "SM2PKE",
    "RSA_PSS_SHA_256",
    "RSA_PKCS1_SHA_256",
    "RSAES_OAEP_SHA_256",
    "RSAES_OAEP_SHA_1",
    "ECDSA",
];
pub(super) const ORIGINS: [&str; 8] =
    ["Aliyun_KMS", "EXTERNAL", "Aliyun_KMS", "Aliyun_KMS", "Aliyun_KMS", "EXTERNAL", "Aliyun_KMS", "external"];
pub(super) const LEVELS: [&str; 4] = ["SOFTWARE", "HSM", "SOFTWARE", "hsm"];
pub(super) const DAYS: [Option<i64>; 7] = [None, Some(7), Some(30), Some(8), Some(6), Some(31), Some(0)];
pub(super) const LENGTHS: [usize; 6] = [32, 16, 1, 1024, 0, 1025];
pub(super) const NUMBERS: [i64; 6] = [1, 2, 3, 2_147_483_647, 0, -1];
pub(super) const SIZES: [i64; 6] = [10, 1, 2, 100, 0, 101];
pub(super) const JUMPS: [i64; 10] = [1, 0, 3600, 86_400, 7 * 86_400, 30 * 86_400, 40 * 86_400, 86_399, -1, i64::MAX];
pub(super) const FAULTS: [SyncFault; 4] =
    [SyncFault::FailLost, SyncFault::FailKept, SyncFault::Freeze, SyncFault::Full];

pub(super) fn pick<T: Copy>(from: &[T], pick: u8) -> T {
    from[usize::from(pick) % from.len()]
}

pub(super) fn description(choice: u8) -> String {
    match choice % 8 {
        0 => String::new(),
        // Longer than one value of the backend holds, so that the record lies in pieces.
        1 => "long ".repeat(1000),
        2 => "é".repeat(8192),
        3 => "é".repeat(8193),
        n => format!("description {n} \"\\\u{1}"),
    }
}

pub(super) fn plaintext(choice: u8) -> Payload {
    match choice % 8 {
        0 => Payload::Bytes(Vec::new()),
        1 => Payload::Bytes(vec![0; 6144]),
        2 => Payload::Bytes(vec![0; 6145]),
        3 => Payload::of_text("SGVsbG8="),
        4 => Payload::of_text("SGVsbG9="),
        5 => Payload::of_text("text \"\\\u{0}é"),
        n => Payload::Bytes(vec![n; usize::from(choice)]),
    }
}

/// A good name, mostly, from a few.
pub(super) fn alias(choice: u8) -> String {
    match choice % 16 {
        15 => "alias/acs/x".to_owned(),
        14 => "alias/".to_owned(),
        13 => "name".to_owned(),
        12 => format!("alias/{}", "x".repeat(250)),
        n => format!("alias/{}", ["a", "b", "c", "d-_/D"][usize::from(n % 4)]),
    }
}

pub(super) fn tag_key(choice: u8) -> String {
    match choice % 32 {
        31 => String::new(),
        30 => "aliyun".to_owned(),
        29 => "acs:x".to_owned(),
        28 => "k".repeat(129),
        27 => "k".repeat(128),
        n => format!("k{}", n % 14),
    }
}

pub(super) fn tag_value(choice: u8) -> String {
    match choice % 16 {
        15 => "é".repeat(129),
        14 => "é".repeat(128),
        0 => String::new(),
        n => format!("v{n}"),
    }
}
