//! A random word straight from the processor.
//!
//! It is an extra, never the only source: mixed into a nonce it keeps two copies of one virtual machine,
//! or one restored twice, from drawing the same values out of a cloned generator.

/// How often the instruction is asked before we go without: it fails only while its buffer is empty, and
/// Intel's guide (Digital Random Number Generator, section 5.2.1) recommends ten tries.
#[cfg(target_arch = "x86_64")]
const TRIES: u32 = 10;

/// 64 random bits from the processor's own generator (RDRAND on x86-64).
///
/// `None` where the processor has none, where it stays empty for ten tries, or where it answers all
/// zeros or all ones: some AMD processors did the latter after a suspend while claiming success.
#[inline]
#[must_use]
pub fn hardware_word() -> Option<u64> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("rdrand") {
        // SAFETY: the processor has just been found to have the instruction.
        return unsafe { rdrand() };
    }
    None
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "rdrand")]
fn rdrand() -> Option<u64> {
    for _ in 0..TRIES {
        let mut word = 0;
        if core::arch::x86_64::_rdrand64_step(&mut word) == 1 && word != 0 && word != u64::MAX {
            return Some(word);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_do_not_repeat_where_there_are_any() {
        let words: Vec<u64> = (0..1000).filter_map(|_| hardware_word()).collect();
        // A birthday collision among 1000 words of 64 bits has a chance of 2^-45.
        assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_processor_that_has_it_answers() {
        if std::arch::is_x86_feature_detected!("rdrand") {
            assert!(hardware_word().is_some());
        }
    }
}
