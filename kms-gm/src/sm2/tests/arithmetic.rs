//! Residues against big integers.

use num_bigint::BigUint;
use proptest::prelude::*;

use super::super::arithmetic::{Arithmetic as _, on_each};
use super::super::field::{Fe, P};
use super::super::limbs::{self, Limbs, from_bytes, to_bytes};
use super::super::modulus::Modulus;
use super::super::scalar::{self, N};

fn big(limbs: &Limbs) -> BigUint {
    BigUint::from_bytes_be(&to_bytes(limbs))
}

fn from_big(number: &BigUint) -> Limbs {
    let bytes = number.to_bytes_be();
    let mut padded = [0; 32];
    padded[32 - bytes.len()..].copy_from_slice(&bytes);
    from_bytes(&padded)
}

/// 1/2^256 modulo m, by Fermat's little theorem.
fn inverse_of_r(m: &BigUint) -> BigUint {
    (BigUint::from(1u8) << 256u32).modpow(&(m - 2u8), m)
}

/// Words where carries begin, end or run through.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => any::<u64>(),
        1 => Just(0),
        1 => Just(1),
        1 => Just(u64::MAX),
        1 => Just(u64::MAX - 1),
        1 => Just(1 << 63),
        1 => Just(u64::MAX << 32),
        1 => Just(u64::MAX >> 32),
        1 => Just(0xffff_fffe_ffff_ffff),
    ]
}

/// Residues, those near the ends among them.
fn residue(modulus: &'static Modulus) -> impl Strategy<Value = Limbs> {
    prop_oneof![
        8 => prop::array::uniform4(word()),
        1 => (0u64..5).prop_map(|small| [small, 0, 0, 0]),
        1 => (1u64..5).prop_map(|small| limbs::sub(&modulus.m, &[small, 0, 0, 0]).0),
    ]
    .prop_map(|limbs| limbs::reduce_once(&limbs, 0, &modulus.m))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn coordinates_are_residues_of_p(a in residue(&P), b in residue(&P)) {
        let p = big(&P.m);
        let (big_a, big_b) = (big(&a), big(&b));
        let (fe_a, fe_b) = (Fe(a), Fe(b));
        let r = inverse_of_r(&p);
        on_each!(arithmetic => {
            assert_eq!(arithmetic.mul(&fe_a, &fe_b).0, from_big(&(&big_a * &big_b * &r % &p)), "{arithmetic:?}");
            assert_eq!(arithmetic.square(&fe_a).0, from_big(&(&big_a * &big_a * &r % &p)), "{arithmetic:?}");
        });
        prop_assert_eq!(fe_a.add(&fe_b).0, from_big(&((&big_a + &big_b) % &p)));
        prop_assert_eq!(fe_a.sub(&fe_b).0, from_big(&((&p + &big_a - &big_b) % &p)));
        prop_assert_eq!(fe_a.negate_if(u64::MAX).0, from_big(&((&p - &big_a) % &p)));
        prop_assert_eq!(fe_a.negate_if(0), fe_a);
        prop_assert_eq!(fe_a.double().0, from_big(&(&big_a * 2u8 % &p)));
        prop_assert_eq!(fe_a.halve().double(), fe_a);
        prop_assert!(big(&fe_a.halve().0) < p);
        prop_assert_eq!(fe_a.is_zero() != 0, a == [0; 4]);
        let product = fe_a.mul(&fe_a.invert());
        prop_assert_eq!(product, if a == [0; 4] { Fe::ZERO } else { Fe::ONE });
        prop_assert_eq!(Fe::from_bytes(&fe_a.to_bytes()), Some(fe_a));
    }

    #[test]
    fn scalars_are_residues_of_n(a in residue(&N), b in residue(&N), wide in prop::array::uniform8(word())) {
        let n = big(&N.m);
        let (big_a, big_b) = (big(&a), big(&b));
        prop_assert_eq!(scalar::times(&a, &scalar::factor(&b)), from_big(&(&big_a * &big_b % &n)));
        prop_assert_eq!(N.add(&a, &b), from_big(&((&big_a + &big_b) % &n)));
        prop_assert_eq!(N.sub(&a, &b), from_big(&((&n + &big_a - &big_b) % &n)));
        let one = scalar::times(&a, &scalar::inverse_factor(&a));
        prop_assert_eq!(one, if a == [0; 4] { [0; 4] } else { [1, 0, 0, 0] });
        let mut bytes = [0; 64];
        bytes.chunks_mut(8).zip(wide).for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_be_bytes()));
        prop_assert_eq!(scalar::from_wide(&bytes), from_big(&(BigUint::from_bytes_be(&bytes) % &n)));
        let number = wide[..4].try_into().expect("four words");
        prop_assert_eq!(scalar::reduced(&number), from_big(&(big(&number) % &n)));
        prop_assert_eq!(N.contains(&number) != 0, big(&number) < n);
    }
}

// Goal: what is not below p is no coordinate.
#[test]
fn coordinates_are_below_p() {
    for (above, expected) in [(0u8, false), (1, false), (255, false)] {
        assert_eq!(Fe::from_number(&from_big(&(big(&P.m) + above))).is_some(), expected);
    }
    assert!(Fe::from_number(&from_big(&(big(&P.m) - 1u8))).is_some());
    assert!(Fe::from_number(&[u64::MAX; 4]).is_none());
}
