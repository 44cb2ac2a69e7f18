//! The vectors of the standard, for every implementation that this processor can run.

use super::*;

fn unhex<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).expect("hex").try_into().expect("the length that the test wants")
}

// Source: GB/T 32907-2016, appendix A: one block, and one block encrypted a million times.
#[test]
fn blocks_of_the_standard() {
    let key = unhex("0123456789abcdeffedcba9876543210");
    for level in Level::all() {
        let cipher = Sm4::at(level, &key);
        let mut block = key;
        cipher.encrypt_block(&mut block);
        assert_eq!(block, unhex("681edf34d206965e86b3e94f536e4246"));
        for _ in 1..1_000_000 {
            cipher.encrypt_block(&mut block);
        }
        assert_eq!(block, unhex("595298c7c6fd271f0402f804c33d3f66"));
    }
}

// Source: RFC 8998, appendix A.1.
#[test]
fn gcm_message_of_rfc_8998() {
    let key = unhex("0123456789abcdeffedcba9876543210");
    let nonce = unhex("00001234567800000000abcd");
    let aad: [u8; 20] = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    let plaintext: [u8; 64] = unhex(concat!(
        "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd",
        "eeeeeeeeeeeeeeeeffffffffffffffffeeeeeeeeeeeeeeeeaaaaaaaaaaaaaaaa",
    ));
    let ciphertext: [u8; 64] = unhex(concat!(
        "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735",
        "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d",
    ));
    let tag = unhex("83de3541e4c2b58177e065a9bf7b62ec");
    for level in Level::all() {
        let mut out = [0; 64];
        assert_eq!(seal_at(level, &key, &nonce, &aad, &plaintext, &mut out), tag);
        assert_eq!(out, ciphertext);
        assert_eq!(open_at(level, &key, &nonce, &aad, &ciphertext, &tag, &mut out), Ok(()));
        assert_eq!(out, plaintext);
    }
}

#[test]
fn nothing_is_told_about_a_key() {
    assert_eq!(format!("{:?}", Sm4::new(&[7; KEY_LEN])), "Sm4(..)");
}
