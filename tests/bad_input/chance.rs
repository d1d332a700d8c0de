//! Bytes by chance: everything follows from `TG_SEED`.

use fastrand::Rng;

/// How many rounds of damage are played, unless told otherwise.
const ROUNDS: u64 = 400;

/// `TG_ROUNDS`, or the default.
pub(crate) fn rounds() -> u64 {
    env("TG_ROUNDS", ROUNDS)
}

/// Dice of `TG_SEED`, which is printed.
pub(crate) fn dice() -> Rng {
    let seed = env("TG_SEED", 1);
    eprintln!("TG_SEED={seed}");
    Rng::with_seed(seed)
}

/// Changes, cuts, repeats and lengthens.
pub(crate) fn damage(bytes: &mut Vec<u8>, dice: &mut Rng) {
    for _ in 0..dice.u32(1..6) {
        let at = dice.usize(0..bytes.len().max(1)).min(bytes.len().saturating_sub(1));
        match dice.u32(..5) {
            0 => bytes.truncate(at),
            1 if !bytes.is_empty() => bytes[at] = dice.u8(..),
            2 if !bytes.is_empty() => bytes[at] = 0xFF - dice.u8(..6),
            3 => bytes.extend((0..dice.usize(..300)).map(|_| dice.u8(..))),
            _ => {
                let again = bytes[at.min(bytes.len())..].to_vec();
                bytes.extend(again);
            }
        }
    }
}

fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("it is a number"))
}
