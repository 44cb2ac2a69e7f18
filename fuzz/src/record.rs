//! Stored records: bytes from a disk, which may be anybody's.
//!
//! Payloads, seals, the header and the layout in pieces are taken from the sources of kms-store, which keeps them to itself.
//! Nothing panics or allocates more than the input is worth; what is encoded decodes to the same and to nothing else when a
//! byte is missing or left over; a record opens only where and with what it was sealed. [`crate::damage`] does the same from
//! outside, with an engine on a store in which one record is altered.

use arbitrary::{Arbitrary, Result, Unstructured};
use kms_core::crypto::{NONCE_LEN, TAG_LEN};
use kms_core::id::{KeyId, KeyVersionId};
use kms_core::model::{
    AccountStatus, Alias, AliasName, Imported, Key, KeySpec, KeyUsage, Origin, ProtectionLevel, Tag, Tags,
    VersionRecord,
};
use kms_core::rng::{EntropyError, Rng};
use kms_core::secret::SecretBytes;
use kms_core::state::KeyState;
use kms_core::time::{Interval, Timestamp};
use kms_core::view::Totals;
use kms_core::{ErrorCode, KmsError};
use ring::digest::{SHA256, digest};

use crate::alter;
use crate::codec::{Head, Owner, Record, V1};
use crate::damage;
use crate::header::{self, ROOT_KEY_LEN, RootKey};
use crate::keys;
use crate::raw::Write;
use crate::seal::{FRONT_LEN, Front, RecordType, STORE_KEY_LEN, Sealer};
use crate::value::{Layout, lay_out, read_layout};

/// What the input is.
#[derive(Arbitrary, Debug)]
enum Input<'a> {
    /// The payload of some kind of record.
    Payload { kind: u8, schema: u16, payload: &'a [u8] },
    /// A record of ours, and how many bytes its encoding loses or gains.
    RoundTrip { kind: u8, cut: u16, tail: &'a [u8], fields: &'a [u8] },
    /// A sealed record that nobody sealed.
    Foreign { key: &'a [u8], record: &'a [u8] },
    /// A record of ours, altered.
    Sealed { key: &'a [u8], payload: &'a [u8], alteration: Alteration<'a> },
    /// A header of our form with a good hash, whatever it says.
    Header { bytes: &'a [u8] },
    /// A header of ours, altered, with or without a new hash.
    AlteredHeader { recipe: &'a [u8], at: u16, bit: u8, rehash: bool },
    /// A record laid out in values of a limited size; and any value, read.
    Layout { key: &'a [u8], payload: &'a [u8], max: u16, value: &'a [u8] },
    /// A store with one record altered.
    Damage(damage::Input<'a>),
}

/// What is done to a sealed record.
#[derive(Arbitrary, Debug)]
enum Alteration<'a> {
    None,
    Bytes(alter::Alteration<'a>),
    /// The front of another revision of the same record.
    OtherFront {
        revision: u64,
        schema: u16,
    },
    /// Read under another key of the store.
    Moved {
        key: &'a [u8],
    },
    /// Read with the key of another store.
    OtherStore,
}

/// Runs the target on one input.
pub fn run(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let Ok(input) = Input::arbitrary(&mut u) else { return };
    match input {
        Input::Payload { kind, schema, payload } => match kind % 5 {
            0 => payload_of::<Key>(schema, payload),
            1 => payload_of::<VersionRecord>(schema, payload),
            2 => payload_of::<Alias>(schema, payload),
            3 => payload_of::<Owner>(schema, payload),
            _ => payload_of::<Head>(schema, payload),
        },
        Input::RoundTrip { kind, cut, tail, fields } => {
            // Fields that are not there are taken for zeros, so every input makes a record.
            let mut fields = Unstructured::new(fields);
            let _ = match kind % 5 {
                0 => key(&mut fields).map(|record| round_trip(&record, cut, tail)),
                1 => version(&mut fields).map(|record| round_trip(&record, cut, tail)),
                2 => alias(&mut fields).map(|record| round_trip(&record, cut, tail)),
                3 => owner(&mut fields).map(|record| round_trip(&record, cut, tail)),
                _ => head(&mut fields).map(|record| round_trip(&record, cut, tail)),
            };
        }
        Input::Foreign { key, record } => {
            let _ = Front::decode(record);
            assert!(sealer(1).open(key, record).is_err(), "a record opens that nobody sealed");
            let framed = [front(1, V1).as_slice(), record].concat();
            assert!(sealer(1).open(key, &framed).is_err(), "a record opens that nobody sealed");
        }
        Input::Sealed { key, payload, alteration } => sealed(key, payload, &alteration),
        Input::Header { bytes } => foreign_header(bytes),
        Input::AlteredHeader { recipe, at, bit, rehash } => altered_header(recipe, at, bit, rehash),
        Input::Layout { key, payload, max, value } => layout(key, payload, max, value),
        Input::Damage(input) => damage::run(&input),
    }
}

/// What a payload decodes to encodes again, in no more bytes, to something that decodes to the same.
fn payload_of<R: Record>(schema: u16, payload: &[u8]) {
    // The number that is known comes up more often than by chance.
    let schema = if schema & 1 == 0 { R::SCHEMA } else { schema };
    let Ok(record) = R::decode(schema, payload) else { return };
    assert!(schema == V1 || schema == R::SCHEMA, "a payload of an unknown schema was read");
    let once = record.encode().expect("what was decoded can be encoded");
    // Numbers may have been written longer than they need be; and no time is later than the year 9999.
    let is_older = schema != R::SCHEMA;
    assert!(is_older || once.len() <= payload.len(), "{} bytes were read as {}", payload.len(), once.len());
    let again = R::decode(R::SCHEMA, &once).expect("what was encoded can be decoded").encode().unwrap();
    assert_eq!(*once, *again);
    let longer = [payload, &[0]].concat();
    assert!(R::decode(schema, &longer).is_err(), "a byte was left over");
}

fn round_trip<R: Record>(record: &R, cut: u16, tail: &[u8]) {
    let payload = record.encode().unwrap();
    let decoded = R::decode(R::SCHEMA, &payload).expect("what was encoded can be decoded");
    assert_eq!(*decoded.encode().unwrap(), *payload);
    let len = usize::from(cut) % payload.len();
    assert!(R::decode(R::SCHEMA, &payload[..len]).is_err(), "bytes are missing");
    if !tail.is_empty() {
        assert!(R::decode(R::SCHEMA, &[&payload, tail].concat()).is_err(), "bytes are left over");
    }
}

fn imported(u: &mut Unstructured<'_>) -> Result<Imported> {
    let expires = if u.arbitrary()? { Some(time(u)?) } else { None };
    Ok(Imported { fingerprint: u.arbitrary()?, present: u.arbitrary()?, expires })
}

fn key(u: &mut Unstructured<'_>) -> Result<Key> {
    let tags = u.arbitrary::<Vec<(String, String)>>()?;
    Ok(Key {
        id: KeyId::from_bytes(u.arbitrary()?),
        spec: *u.choose(KeySpec::ALL)?,
        usage: *u.choose(KeyUsage::ALL)?,
        origin: *u.choose(Origin::ALL)?,
        protection: *u.choose(ProtectionLevel::ALL)?,
        creator: u.arbitrary()?,
        created: time(u)?,
        description: u.arbitrary()?,
        state: *u.choose(&KeyState::ALL)?,
        delete_at: if u.arbitrary()? { Some(time(u)?) } else { None },
        deletion_protection: u.arbitrary()?,
        primary: u.arbitrary::<Option<[u8; 16]>>()?.map(KeyVersionId::from_bytes),
        versions: u.arbitrary()?,
        last_rotation: time(u)?,
        rotation: u.arbitrary::<Option<u64>>()?.map(Interval::from_seconds),
        imported: if u.arbitrary()? { Some(imported(u)?) } else { None },
        aliases: u.arbitrary()?,
        tags: Tags::from_vec(tags.into_iter().map(|(key, value)| Tag { key, value }).collect()),
    })
}

fn version(u: &mut Unstructured<'_>) -> Result<VersionRecord> {
    Ok(VersionRecord {
        id: KeyVersionId::from_bytes(u.arbitrary()?),
        key: KeyId::from_bytes(u.arbitrary()?),
        number: u.arbitrary()?,
        created: time(u)?,
        spec: *u.choose(KeySpec::ALL)?,
        material: u.arbitrary::<Option<&[u8]>>()?.map(SecretBytes::copied_from),
    })
}

fn alias(u: &mut Unstructured<'_>) -> Result<Alias> {
    let name: String = u.arbitrary::<&[u8]>()?.iter().take(249).map(|byte| char::from(b'a' + byte % 26)).collect();
    let name = AliasName::parse(&format!("alias/{name}")).ok_or(arbitrary::Error::IncorrectFormat)?;
    Ok(Alias { name, key: KeyId::from_bytes(u.arbitrary()?), created: time(u)? })
}

fn owner(u: &mut Unstructured<'_>) -> Result<Owner> {
    let status = *u.choose(AccountStatus::ALL)?;
    Ok(Owner { account: u.arbitrary()?, region: u.arbitrary()?, status, configured: *u.choose(AccountStatus::ALL)? })
}

fn head(u: &mut Unstructured<'_>) -> Result<Head> {
    let totals = Totals { keys: u.arbitrary()?, aliases: u.arbitrary()?, added_versions: u.arbitrary()? };
    Ok(Head { totals, latest: u.arbitrary()? })
}

fn time(u: &mut Unstructured<'_>) -> Result<Timestamp> {
    u.arbitrary().map(Timestamp::from_unix)
}

/// Bytes that differ from draw to draw.
pub(crate) struct Counter(pub(crate) u64);

impl Rng for Counter {
    fn secret(&mut self, out: &mut [u8]) -> std::result::Result<(), EntropyError> {
        self.public(out)
    }

    fn public(&mut self, out: &mut [u8]) -> std::result::Result<(), EntropyError> {
        for chunk in out.chunks_mut(8) {
            self.0 += 1;
            chunk.copy_from_slice(&self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

fn sealer(store: u8) -> Sealer {
    Sealer::new(&SecretBytes::copied_from(&[store; STORE_KEY_LEN]))
}

fn front_of(revision: u64, schema: u16) -> Front {
    Front { kind: RecordType::Key, schema, incarnation: [7; 16], revision }
}

/// The bytes of a front, as the seal writes them.
fn front(revision: u64, schema: u16) -> Vec<u8> {
    let record = sealer(1).seal(b"", &front_of(revision, schema), b"", &mut Counter(0)).unwrap();
    record[..FRONT_LEN].to_vec()
}

fn sealed(key: &[u8], payload: &[u8], alteration: &Alteration<'_>) {
    let original = sealer(1).seal(key, &front_of(3, V1), payload, &mut Counter(0)).unwrap();
    let (mut record, mut place, mut store) = (original.clone(), key, 1);
    match alteration {
        Alteration::None => {}
        Alteration::Bytes(alteration) => alteration.apply(&mut record),
        Alteration::OtherFront { revision, schema } => {
            record[..FRONT_LEN].copy_from_slice(&front(*revision, *schema));
        }
        Alteration::Moved { key } => place = key,
        Alteration::OtherStore => store = 2,
    }
    let same = record == original && place == key && store == 1;
    match sealer(store).open(place, &record) {
        Ok((front, opened)) => {
            assert!(same, "an altered record opens");
            assert_eq!((front, opened.as_slice()), (front_of(3, V1), payload));
        }
        Err(_) => assert!(!same, "a record of ours does not open"),
    }
}

/// A root key that is always the same, behind a recipe that must come back as it was given.
struct Fixed<'r>(&'r [u8]);

impl RootKey for Fixed<'_> {
    fn establish(&self) -> std::result::Result<(SecretBytes, Vec<u8>), KmsError> {
        Ok((SecretBytes::copied_from(&[9; ROOT_KEY_LEN]), self.0.to_vec()))
    }

    fn recall(&self, _: &[u8]) -> std::result::Result<SecretBytes, KmsError> {
        Ok(SecretBytes::copied_from(&[9; ROOT_KEY_LEN]))
    }
}

const REFUSALS: [ErrorCode; 3] = [ErrorCode::StoreCorrupt, ErrorCode::StoreForeign, ErrorCode::WrongRootKey];

fn with_hash(mut header: Vec<u8>) -> Vec<u8> {
    let hash = digest(&SHA256, &header);
    header.extend_from_slice(hash.as_ref());
    header
}

fn foreign_header(bytes: &[u8]) {
    for header in [bytes.to_vec(), with_hash(bytes.to_vec()), with_hash([b"KMSH\0\x01".as_slice(), bytes].concat())] {
        let error = header::open(&header, &Fixed(b"")).expect_err("a header opens that nobody wrote");
        assert!(REFUSALS.contains(&error.code()), "{error:?}");
    }
}

fn altered_header(recipe: &[u8], at: u16, bit: u8, rehash: bool) {
    let recipe = &recipe[..recipe.len().min(header::MAX_RECIPE)];
    let (original, store_key) = header::create(&Fixed(recipe), &mut Counter(0)).unwrap();
    assert_eq!(header::open(&original, &Fixed(recipe)).unwrap(), store_key);
    let mut altered = original.clone();
    let at = usize::from(at) % altered.len();
    altered[at] ^= 1 << (bit % 8);
    if rehash {
        altered.truncate(altered.len() - 32);
        altered = with_hash(altered);
    }
    match header::open(&altered, &Fixed(recipe)) {
        Ok(key) => assert!(altered == original && key == store_key, "an altered header opens"),
        Err(error) => assert!(altered != original && REFUSALS.contains(&error.code()), "{error:?}"),
    }
}

/// A sealed record in pieces is put together again, and no value is larger than it may be.
fn layout(key: &[u8], payload: &[u8], max: u16, value: &[u8]) {
    let key = &key[..key.len().min(40)];
    if let Some(Layout::Split(front, pieces)) = read_layout(value) {
        assert_eq!(value, [&[1], pieces.to_be_bytes().as_slice(), front].concat());
    }
    let front = front_of(3, V1);
    let sealed = sealer(1).seal(key, &front, payload, &mut Counter(0)).unwrap();
    assert_eq!(sealed.len(), FRONT_LEN + NONCE_LEN + payload.len() + TAG_LEN);
    let max = usize::from(max).clamp(128, 4096);
    let writes = lay_out(key.to_vec(), &front, &sealed, max).expect("there is room for a piece");
    let mut found = std::collections::BTreeMap::new();
    for write in writes {
        let Write::Put { key, value } = write else { panic!("a layout removes") };
        assert!(key.len() + value.len() <= max, "a value is too large");
        assert!(found.insert(key, value).is_none(), "two pieces have one key");
    }
    let whole = match read_layout(&found[key]).expect("a layout of ours") {
        Layout::Whole(sealed) => sealed.to_vec(),
        Layout::Split(head, pieces) => {
            assert_eq!(usize::from(pieces), found.len() - 1);
            let piece = |i| found[&keys::piece(key, &front.incarnation, front.revision, i)].as_slice();
            [head.as_slice()].into_iter().chain((0..pieces).map(piece)).collect::<Vec<_>>().concat()
        }
    };
    assert_eq!(whole, sealed);
}
