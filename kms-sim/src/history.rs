//! Histories out of a seed: steps of which most succeed, so that keys live long and come far.

use crate::chance::Chance;
use crate::model::{Name, State, Token};
use crate::world::{KeyPick, Op, PagePick, World};

/// The fewest steps of a history, and how many more there may be.
const STEPS: (usize, usize) = (40, 81);

/// Makes a history. `meddle` may do something behind the back of the model after each step, before the
/// check.
pub(crate) fn run(world: &mut World, chance: &mut Chance, mut meddle: impl FnMut(&mut World)) {
    for _ in 0..STEPS.0 + chance.below(STEPS.1) {
        let op = next(world, chance);
        world.step(&op);
        meddle(world);
        world.check();
    }
    world.finish();
}

/// How a step of one kind is drawn.
type Draw = fn(&World, &mut Chance) -> Op;

/// The kinds of steps, and how often each comes.
const KINDS: [(usize, Draw); 38] = [
    (6, create_key),
    (3, |world, chance| Op::Enable { key: key(world, chance, is_enabled), on: false }),
    (6, |world, chance| Op::Enable { key: key(world, chance, is_disabled), on: true }),
    (3, |world, chance| {
        let days = if chance.percent(80) { chance.below(4) as u8 } else { chance.byte() };
        Op::Schedule { key: key(world, chance, any), days }
    }),
    (6, |world, chance| {
        let pending = |world: &World, index: usize| world.model.keys[index].state == State::PendingDeletion;
        Op::Cancel { key: key(world, chance, pending) }
    }),
    (1, |world, chance| {
        let key = KeyPick { form: 8, ..key(world, chance, any) };
        Op::Protect { key, on: chance.percent(50), description: chance.byte() }
    }),
    (2, |world, chance| Op::Describe { key: key(world, chance, any), description: chance.byte() }),
    (1, |world, chance| Op::DescribeKey { key: named(world, chance, any) }),
    (1, |_, chance| Op::ListKeys { page: page(chance), state: chance.byte() }),
    (2, |world, chance| Op::DescribeVersion { key: named(world, chance, any), of: chance.byte() }),
    (2, |world, chance| Op::ListVersions { key: named(world, chance, any), page: page(chance) }),
    (12, |world, chance| Op::Encrypt {
        key: named(world, chance, encrypts),
        plaintext: chance.byte(),
        context: context(chance),
        typed: chance.percent(50),
    }),
    (8, |world, chance| Op::DataKey {
        key: named(world, chance, encrypts),
        len: if chance.percent(85) { chance.below(4) as u8 } else { chance.byte() },
        context: context(chance),
        shown: chance.percent(60),
        typed: chance.percent(50),
    }),
    (5, |world, chance| {
        let blob = chance.byte();
        Op::Decrypt { blob, context: of_blob(world, chance, blob), typed: chance.percent(50) }
    }),
    (6, |world, chance| {
        let blob = chance.byte();
        let (source, context) = (of_blob(world, chance, blob), context(chance));
        Op::ReEncrypt { blob, source, key: named(world, chance, encrypts), context, typed: chance.percent(50) }
    }),
    (4, |world, chance| Op::CreateAlias { alias: chance.byte(), key: key(world, chance, any) }),
    (2, |world, chance| Op::UpdateAlias { alias: chance.byte(), key: key(world, chance, any) }),
    (1, |_, chance| Op::DeleteAlias { alias: chance.byte() }),
    (1, |_, chance| Op::ListAliases { page: page(chance) }),
    (1, |world, chance| Op::ListAliasesByKey { key: key(world, chance, any), page: page(chance) }),
    (3, |world, chance| Op::Tag {
        key: key(world, chance, any),
        first: chance.byte(),
        count: chance.byte(),
        value: chance.byte(),
        odd: chance.byte(),
    }),
    (1, |world, chance| {
        let keys = [chance.byte(), chance.byte(), chance.byte()];
        Op::Untag { key: key(world, chance, any), keys, count: chance.byte() }
    }),
    (1, |world, chance| Op::ListTags { key: key(world, chance, any) }),
    (12, |_, chance| Op::Advance { by: if chance.percent(95) { chance.below(8) as u8 } else { chance.byte() } }),
    (6, |_, _| Op::RunDue),
    (4, |_, _| Op::Reopen),
    (7, |_, chance| Op::Fault { ahead: chance.byte(), fault: chance.byte() }),
    (2, |_, _| Op::MakeSpace),
    (4, |world, chance| Op::Rotation {
        key: key(world, chance, encrypts),
        on: chance.percent(80),
        interval: if chance.percent(80) { chance.below(4) as u8 } else { chance.byte() },
    }),
    (4, |world, chance| Op::CreateVersion { key: named(world, chance, is_pair) }),
    (6, import_parameters),
    (9, |world, chance| Op::Import {
        token: token(world, chance),
        key: key(world, chance, |world, index| world.model.keys[index].external),
        stray: chance.percent(12),
        material: if chance.percent(75) { 0 } else { chance.byte() },
        expiry: if chance.percent(80) { chance.below(6) as u8 } else { chance.byte() },
    }),
    (2, |world, chance| Op::DeleteMaterial {
        key: key(world, chance, |world, index| world.model.keys[index].external),
    }),
    (4, |world, chance| Op::Sign {
        key: named(world, chance, |world, index| {
            is_pair(world, index) && world.model.keys[index].usage == "SIGN/VERIFY"
        }),
        version: version(chance),
        algorithm: if chance.percent(85) { 0 } else { chance.byte() },
        digest: chance.byte(),
    }),
    (2, |_, chance| Op::Verify { signature: chance.byte(), alter: chance.percent(40) }),
    (3, |world, chance| Op::PairEncrypt {
        key: named(world, chance, |world, index| {
            is_pair(world, index) && world.model.keys[index].usage != "SIGN/VERIFY"
        }),
        version: version(chance),
        algorithm: if chance.percent(85) { 0 } else { chance.byte() },
        len: chance.byte(),
    }),
    (2, |_, chance| Op::PairDecrypt { ciphertext: chance.byte() }),
    (2, |world, chance| Op::PublicKey { key: named(world, chance, is_pair), version: version(chance) }),
];

/// A step that makes sense now, mostly.
fn next(world: &World, chance: &mut Chance) -> Op {
    // A history begins with keys.
    if world.model.live().count() < 2 && chance.percent(60) {
        return create_key(world, chance);
    }
    let mut left = chance.below(KINDS.iter().map(|(weight, _)| weight).sum());
    for (weight, draw) in KINDS {
        if left < weight {
            return draw(world, chance);
        }
        left -= weight;
    }
    unreachable!("the number is below the sum")
}

fn any(_: &World, _: usize) -> bool {
    true
}

fn is_enabled(world: &World, index: usize) -> bool {
    world.model.keys[index].state == State::Enabled
}

fn is_disabled(world: &World, index: usize) -> bool {
    world.model.keys[index].state == State::Disabled
}

fn is_pair(world: &World, index: usize) -> bool {
    world.model.keys[index].spec.starts_with("EC_") && is_enabled(world, index)
}

fn encrypts(world: &World, index: usize) -> bool {
    is_enabled(world, index) && !is_pair(world, index)
}

/// A quarter of the keys is EXTERNAL and another one are pairs; half the rest rotates. Most EXTERNAL ones are of level HSM: for
/// these material can be wrapped under SM2, which takes a fraction of what RSA does.
fn create_key(_: &World, chance: &mut Chance) -> Op {
    let (mut spec, mut origin, mut level, mut rotation) = (chance.below(4) as u8, 0, chance.byte(), 0);
    match chance.below(8) {
        0 | 1 => {
            origin = 1;
            level = u8::from(chance.percent(80));
        }
        2 | 3 => spec = 4 + chance.below(4) as u8,
        4..7 => rotation = chance.below(4) as u8,
        _ => (spec, origin, rotation) = (chance.byte(), chance.byte(), chance.byte()),
    }
    let usage = if chance.percent(90) { chance.below(5) as u8 } else { chance.byte() };
    // Symmetric keys have one usage, so that any other would be refused.
    let usage = if spec < 4 && chance.percent(95) { 0 } else { usage };
    Op::CreateKey { spec, origin, level, description: chance.byte(), usage, rotation }
}

fn import_parameters(world: &World, chance: &mut Chance) -> Op {
    let external = |level: &'static str| {
        move |world: &World, index: usize| world.model.keys[index].external && world.model.keys[index].level == level
    };
    let wrapping = match chance.below(20) {
        0 => chance.byte(),
        // Drawing an RSA key takes as long as the rest of the history.
        1 | 2 => 12,
        _ => 0,
    };
    if wrapping == 12 {
        return Op::ImportParameters { key: key(world, chance, external("SOFTWARE")), wrapping };
    }
    Op::ImportParameters { key: key(world, chance, external("HSM")), wrapping }
}

/// A token that is good, mostly.
fn token(world: &World, chance: &mut Chance) -> u8 {
    let good = |token: &Token| token.expires > world.model.now && world.model.is_live(token.key);
    let good: Vec<u8> = (0..world.tokens.len()).filter(|at| good(&world.tokens[*at])).map(|at| at as u8).collect();
    match chance.one(&good) {
        Some(at) if chance.percent(85) => at,
        _ => chance.byte(),
    }
}

/// Of the key that is named, mostly any of its versions.
fn version(chance: &mut Chance) -> u8 {
    if chance.percent(90) { 16 * chance.below(16) as u8 } else { chance.byte() }
}

/// A live key that fits, by its id or ARN; sometimes any key, named anyhow.
fn key(world: &World, chance: &mut Chance, fits: impl Fn(&World, usize) -> bool) -> KeyPick {
    let fitting: Vec<usize> = world.model.live().filter(|index| fits(world, *index)).collect();
    match chance.one(&fitting) {
        Some(index) if chance.percent(92) => KeyPick { form: chance.below(11) as u8, index: index as u8 },
        _ => KeyPick { form: chance.byte(), index: chance.byte() },
    }
}

/// As [`key`], by an alias too.
fn named(world: &World, chance: &mut Chance, fits: impl Fn(&World, usize) -> bool) -> KeyPick {
    if chance.percent(25) {
        let aliases: Vec<u8> = (0..12).filter(|alias| alias_fits(world, *alias, &fits)).collect();
        if let Some(alias) = chance.one(&aliases) {
            return KeyPick { form: 12, index: alias };
        }
    }
    key(world, chance, fits)
}

fn alias_fits(world: &World, alias: u8, fits: impl Fn(&World, usize) -> bool) -> bool {
    let name = world.name(KeyPick { form: 12, index: alias });
    matches!(name, Name::Alias(_)) && world.model.find(&name).is_ok_and(|index| fits(world, index))
}

fn page(chance: &mut Chance) -> PagePick {
    if chance.percent(80) {
        return PagePick { number: chance.below(3) as u8, size: chance.below(4) as u8 };
    }
    PagePick { number: chance.byte(), size: chance.byte() }
}

/// A context that is one, mostly.
fn context(chance: &mut Chance) -> u8 {
    if chance.percent(90) { chance.below(6) as u8 } else { chance.byte() }
}

/// The context of a blob, mostly.
fn of_blob(world: &World, chance: &mut Chance, blob: u8) -> u8 {
    let sealed = usize::from(blob).checked_rem(world.blobs.len()).map(|index| &world.blobs[index].1);
    match sealed {
        Some(sealed) if chance.percent(85) => sealed.context.0,
        _ => chance.byte(),
    }
}
