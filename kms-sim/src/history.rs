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

/// A step that makes sense now, mostly.
fn next(world: &World, chance: &mut Chance) -> Op {
    let enabled = |world: &World, index: usize| world.model.keys[index].state == State::Enabled;
    let external = |world: &World, index: usize| world.model.keys[index].external;
    // A history begins with keys.
    if world.model.live().count() < 2 && chance.percent(60) {
        return create_key(chance);
    }
    match chance.below(124) {
        0..5 => create_key(chance),
        5..9 => Op::Enable { key: key(world, chance, enabled), on: false },
        9..15 => Op::Enable { key: key(world, chance, |world, index| !enabled(world, index)), on: true },
        15..18 => {
            let days = if chance.percent(80) { chance.below(4) as u8 } else { chance.byte() };
            Op::Schedule { key: key(world, chance, |_, _| true), days }
        }
        18..22 => {
            let pending = |world: &World, index: usize| world.model.keys[index].state == State::PendingDeletion;
            Op::Cancel { key: key(world, chance, pending) }
        }
        22 => {
            let key = KeyPick { form: 8, ..key(world, chance, |_, _| true) };
            Op::Protect { key, on: chance.percent(50), description: chance.byte() }
        }
        23..25 => Op::Describe { key: key(world, chance, |_, _| true), description: chance.byte() },
        25 => Op::DescribeKey { key: any_name(world, chance) },
        26 => Op::ListKeys { page: page(chance), state: chance.byte() },
        27 => Op::DescribeVersion { key: any_name(world, chance), of: chance.byte() },
        28..30 => Op::ListVersions { key: any_name(world, chance), page: page(chance) },
        30..40 => {
            let (plaintext, context) = (chance.byte(), context(chance));
            Op::Encrypt { key: named(world, chance, enabled), plaintext, context, typed: chance.percent(50) }
        }
        40..48 => Op::DataKey {
            key: named(world, chance, enabled),
            len: if chance.percent(85) { chance.below(4) as u8 } else { chance.byte() },
            context: context(chance),
            shown: chance.percent(60),
            typed: chance.percent(50),
        },
        48..53 => {
            let blob = chance.byte();
            Op::Decrypt { blob, context: of_blob(world, chance, blob), typed: chance.percent(50) }
        }
        53..58 => {
            let blob = chance.byte();
            let (source, context) = (of_blob(world, chance, blob), context(chance));
            Op::ReEncrypt { blob, source, key: named(world, chance, enabled), context, typed: chance.percent(50) }
        }
        58..62 => Op::CreateAlias { alias: chance.byte(), key: key(world, chance, |_, _| true) },
        62..64 => Op::UpdateAlias { alias: chance.byte(), key: key(world, chance, |_, _| true) },
        64 => Op::DeleteAlias { alias: chance.byte() },
        65 => Op::ListAliases { page: page(chance) },
        66 => Op::ListAliasesByKey { key: key(world, chance, |_, _| true), page: page(chance) },
        67..70 => Op::Tag {
            key: key(world, chance, |_, _| true),
            first: chance.byte(),
            count: chance.byte(),
            value: chance.byte(),
            odd: chance.byte(),
        },
        70 => {
            let keys = [chance.byte(), chance.byte(), chance.byte()];
            Op::Untag { key: key(world, chance, |_, _| true), keys, count: chance.byte() }
        }
        71 => Op::ListTags { key: key(world, chance, |_, _| true) },
        72..81 => Op::Advance { by: chance.byte() },
        81..87 => Op::RunDue,
        87..91 => Op::Reopen,
        91..98 => Op::Fault { ahead: chance.byte(), fault: chance.byte() },
        98..100 => Op::MakeSpace,
        100..104 => {
            let own = |world: &World, index: usize| enabled(world, index) && !world.model.keys[index].external;
            Op::UpdateRotation { key: key(world, chance, own), interval: chance.byte() }
        }
        104..109 => {
            let wrapping = if chance.percent(3) { 0 } else { 1 };
            let fits = |world: &World, index: usize| external(world, index) && world.model.keys[index].level == "HSM";
            Op::ImportParameters { key: key(world, chance, fits), wrapping }
        }
        109..122 => {
            let token = token(world, chance);
            let own = usize::from(token).checked_rem(world.tokens.len()).map(|at| world.tokens[at].key);
            let other = |world: &World, index: usize| external(world, index) && Some(index) != own;
            let key = chance.percent(15).then(|| key(world, chance, other));
            Op::Import { token, key, material: chance.byte(), expires: chance.byte() }
        }
        _ => Op::DeleteMaterial { key: key(world, chance, external) },
    }
}

fn create_key(chance: &mut Chance) -> Op {
    // Material is imported into keys of level HSM, mostly: SM2 wraps faster than RSA.
    let origin = if chance.percent(25) { 1 } else { chance.byte() };
    let level = if chance.percent(60) { 1 } else { chance.byte() };
    let spec = if chance.percent(95) { chance.below(4) as u8 } else { chance.byte() };
    Op::CreateKey { spec, origin, level, description: chance.byte(), interval: chance.byte() }
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

/// A token that is good, mostly.
fn token(world: &World, chance: &mut Chance) -> u8 {
    let good = |token: &Token| token.expires > world.model.now && world.model.is_live(token.key);
    let good: Vec<usize> = (0..world.tokens.len()).filter(|at| good(&world.tokens[*at])).collect();
    match chance.one(&good) {
        Some(at) if chance.percent(85) => at as u8,
        _ => chance.byte(),
    }
}

fn any_name(world: &World, chance: &mut Chance) -> KeyPick {
    named(world, chance, |_, _| true)
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
