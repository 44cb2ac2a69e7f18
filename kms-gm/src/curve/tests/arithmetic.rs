//! Residues against big integers.

use num_bigint::BigUint;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::limbs::{self, Limbs, from_bytes, to_bytes};
use super::super::{Curve, Fe, Modulus, Products as _, on_each};
use super::{for_each_curve, less};

fn big(limbs: &Limbs) -> BigUint {
    BigUint::from_bytes_be(&to_bytes(limbs))
}

fn from_big(number: &BigUint) -> Limbs {
    let bytes = number.to_bytes_be();
    let mut padded = [0; 32];
    padded[32 - bytes.len()..].copy_from_slice(&bytes);
    from_bytes(&padded)
}

/// 1/x modulo a prime, by Fermat's little theorem.
fn inverse(x: &BigUint, m: &BigUint) -> BigUint {
    x.modpow(&(m - 2u8), m)
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
        1 => (1u64..5).prop_map(|small| less(&modulus.m, small)),
    ]
    .prop_map(|limbs| limbs::reduce_once(&limbs, 0, &modulus.m))
}

fn check<S: Strategy>(values: S, check: impl Fn(S::Value)) {
    let run = |value| {
        check(value);
        Ok(())
    };
    TestRunner::new(ProptestConfig::with_cases(2000)).run(&values, run).expect("every case holds");
}

/// What [`Curve::P`] says of the form of its residues: products are divided by R.
fn check_products<C: Curve>(a: &Limbs, b: &Limbs) {
    let p = big(&C::P.m);
    let by_r = inverse(&big(&C::P.r), &p);
    let product = from_big(&(big(a) * big(b) * &by_r % &p));
    let square = from_big(&(big(a) * big(a) * &by_r % &p));
    on_each!(arithmetic => {
        assert_eq!(arithmetic.mul(&Fe::<C>::new(*a), &Fe::new(*b)).0, product, "{arithmetic:?}: {a:x?}, {b:x?}");
        assert_eq!(arithmetic.square(&Fe::<C>::new(*a)).0, square, "{arithmetic:?}: {a:x?}");
    });
}

// Goal: coordinates are multiplied, added, halved and inverted modulo p.
fn coordinates<C: Curve>() {
    let p = big(&C::P.m);
    check((residue(C::P), residue(C::P)), |(a, b)| {
        check_products::<C>(&a, &b);
        let (big_a, big_b) = (big(&a), big(&b));
        let (fe_a, fe_b) = (Fe::<C>::new(a), Fe::<C>::new(b));
        assert_eq!(fe_a.add(&fe_b).0, from_big(&((&big_a + &big_b) % &p)));
        assert_eq!(fe_a.sub(&fe_b).0, from_big(&((&p + &big_a - &big_b) % &p)));
        assert_eq!(fe_a.negate_if(u64::MAX).0, from_big(&((&p - &big_a) % &p)));
        assert_eq!(fe_a.negate_if(0), fe_a);
        assert_eq!(fe_a.double().0, from_big(&(&big_a * 2u8 % &p)));
        assert_eq!(fe_a.halve().double(), fe_a);
        assert!(big(&fe_a.halve().0) < p);
        assert_eq!(fe_a.is_zero() != 0, a == [0; 4]);
        let product = fe_a.mul(&fe_a.invert());
        assert_eq!(product, if a == [0; 4] { Fe::ZERO } else { Fe::ONE });
        assert_eq!(fe_a.invert_public(), fe_a.invert());
        assert_eq!(Fe::from_bytes(&fe_a.to_bytes()), Some(fe_a));
        // The number and its form.
        assert_eq!(fe_a.number(), from_big(&(&big_a * inverse(&big(&C::P.r), &p) % &p)));
    });
}

// Goal: no carry is lost, wherever one may come from.
// Method: every pair of the numbers at the ends and of those whose words are all ones, or zeros, but for some.
fn carries<C: Curve>() {
    let ends = (0..4).flat_map(|by| [[by, 0, 0, 0], less(&C::P.m, by + 1)]);
    let words = [0, 1, u64::MAX, u64::MAX - 1, u64::MAX << 32, u64::MAX >> 32];
    let patterns = words.iter().flat_map(|a| words.iter().map(move |b| (*a, *b)));
    let patterns = patterns.flat_map(|(a, b)| [[a, a, b, b], [a, b, a, b], [b, a, a, a], [a, a, a, b]]);
    let numbers: Vec<_> = ends.chain(patterns).map(|limbs| limbs::reduce_once(&limbs, 0, &C::P.m)).collect();
    for a in &numbers {
        for b in &numbers {
            check_products::<C>(a, b);
        }
    }
}

// Goal: what is not below p is no coordinate.
fn coordinates_are_below_p<C: Curve>() {
    assert!(Fe::<C>::from_number(&less(&C::P.m, 1)).is_some());
    for above in [0, 1, 255] {
        assert!(Fe::<C>::from_number(&limbs::add(&C::P.m, &[above, 0, 0, 0]).0).is_none());
    }
    assert!(Fe::<C>::from_number(&[u64::MAX; 4]).is_none());
}

// Goal: scalars are multiplied, added and inverted modulo n.
fn scalars<C: Curve>() {
    let n = big(&C::N.m);
    check((residue(C::N), residue(C::N), prop::array::uniform4(word())), |(a, b, number)| {
        let (big_a, big_b) = (big(&a), big(&b));
        assert_eq!(C::N.mul(&a, &C::N.residue(&b)), from_big(&(&big_a * &big_b % &n)));
        assert_eq!(C::N.add(&a, &b), from_big(&((&big_a + &big_b) % &n)));
        assert_eq!(C::N.sub(&a, &b), from_big(&((&n + &big_a - &big_b) % &n)));
        assert_eq!(C::N.invert(&a), from_big(&inverse(&big_a, &n)));
        assert_eq!(C::N.invert_public(&a), C::N.invert(&a));
        assert_eq!(C::N.contains(&number) != 0, big(&number) < n);
    });
}

for_each_curve!(coordinates carries coordinates_are_below_p scalars);
