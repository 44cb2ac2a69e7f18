//! Multiples of points against the crates `sm2`, `p256` and `k256`.

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::limbs::{self, Limbs};
use super::super::sum::Summands;
use super::super::{
    Affine, Arithmetic as _, Curve, Jacobian, KeyPoint, Portable, Table, Xyzz, on_each, product, table,
};
use super::{for_each_curve, less};
use crate::ecdsa::{P256, Secp256k1};
use crate::sm2::Sm2;

/// A curve of which there is another implementation.
trait Known: Curve {
    /// u·G + v·P, where P is w·G: X || Y, or zeros for the point at infinity.
    fn sum(u: &Limbs, v: &Limbs, w: &Limbs) -> [u8; 64];

    /// k·G.
    fn multiple(k: &Limbs) -> [u8; 64] {
        Self::sum(k, &[0; 4], &[0; 4])
    }
}

macro_rules! known {
    ($($curve:ident $theirs:ident)*) => {$(
        impl Known for $curve {
            fn sum(u: &Limbs, v: &Limbs, w: &Limbs) -> [u8; 64] {
                use ::$theirs::elliptic_curve::PrimeField;
                use ::$theirs::elliptic_curve::sec1::ToSec1Point;
                use ::$theirs::{ProjectivePoint, Scalar};

                let [u, v, w] = [u, v, w].map(|k| Scalar::from_repr(limbs::to_bytes(k).into()).expect("below the order"));
                let sum = ProjectivePoint::GENERATOR * u + ProjectivePoint::GENERATOR * w * v;
                let encoded = sum.to_affine().to_sec1_point(false);
                match encoded.as_bytes() {
                    [0] => [0; 64],
                    bytes => bytes[1..].try_into().expect("an uncompressed point"),
                }
            }
        }
    )*};
}

known! {
    Sm2 sm2
    P256 p256
    Secp256k1 k256
}

/// w·G.
fn point<C: Known>(w: &Limbs) -> Affine<C> {
    Affine::from_bytes(&C::multiple(w)).expect("a point")
}

fn reduced<C: Curve>(number: &Limbs) -> Limbs {
    limbs::reduce_once(number, 0, &C::N.m)
}

/// Zero, numbers of the least and the most, of one bit, of digits at the ends of their windows, and some others.
fn scalars<C: Curve>() -> Vec<Limbs> {
    let small = (0..40).map(|small| [small, 0, 0, 0]);
    let large = (1..40).map(|by| less(&C::N.m, by));
    let bits = (0..256).map(|bit| {
        let mut k = [0; 4];
        k[bit / 64] = 1 << (bit % 64);
        k
    });
    let patterns = [0x8102_0408_1020_4081, 0x4210_8421_0842_1084, 0x5555_5555_5555_5555, u64::MAX, u64::MAX - 1]
        .map(|word| reduced::<C>(&[word; 4]));
    small.chain(large).chain(bits).chain(patterns).collect()
}

/// k·P in every way, where P is w·G.
fn check<C: Known>(point: &Affine<C>, w: &Limbs, table: &Table<C>, k: &Limbs) {
    let expected = C::sum(&[0; 4], k, w);
    on_each!(a => {
        let by_table = table.mul(a, k);
        assert_eq!(by_table.to_jacobian(a).to_affine(a).to_bytes(), expected, "by table, {a:?}: {k:x?}");
        assert_eq!(by_table.x_coordinate(a).to_bytes(), expected[..32], "x, by table, {a:?}: {k:x?}");
        assert_eq!(product::mul(a, point, k).to_affine(a).to_bytes(), expected, "{a:?}: {k:x?}");
        let mut summands = Summands::new();
        table.summands(k, &mut summands);
        let sum = summands.add_to(a, Xyzz::INFINITY);
        assert_eq!(sum.to_jacobian(a).to_affine(a).to_bytes(), expected, "public, by table, {a:?}: {k:x?}");
        assert_eq!(product::mul_public(a, point, k).to_affine(a).to_bytes(), expected, "public, {a:?}: {k:x?}");
    });
}

fn products_at_the_edges<C: Known>() {
    let base = Table::of_base(Portable);
    let other = point::<C>(&[7, 0, 0, 0]);
    let table = Table::new(Portable, &other);
    for k in scalars::<C>() {
        check(&C::G, &[1, 0, 0, 0], base, &k);
        check(&other, &[7, 0, 0, 0], &table, &k);
    }
}

fn run<S: Strategy>(values: S, check: impl Fn(S::Value)) {
    let run = |value| {
        check(value);
        Ok(())
    };
    TestRunner::new(ProptestConfig::with_cases(64)).run(&values, run).expect("every case holds");
}

fn products<C: Known>() {
    run((prop::array::uniform4(any::<u64>()), prop::array::uniform4(any::<u64>())), |(k, w)| {
        let (k, w) = (reduced::<C>(&k), reduced::<C>(&w));
        let point = point::<C>(&w);
        check(&point, &w, &Table::new(Portable, &point), &k);
    });
}

// Goal: u·G + v·P for keys P whose multiples meet those of G: equal and opposite summands, and infinity.
fn sums_that_meet<C: Known>() {
    run((1u64..200, any::<bool>(), 0u64..200, 0u64..200), |(of, negative, u, v)| {
        let w = if negative { less(&C::N.m, of) } else { [of, 0, 0, 0] };
        let point = point::<C>(&w);
        let (u, v) = ([u, 0, 0, 0], [v, 0, 0, 0]);
        let expected = C::sum(&u, &v, &w);
        on_each!(a => {
            for with_table in [false, true] {
                let key = KeyPoint::from(point);
                if with_table {
                    key.make_table();
                }
                assert_eq!(key.sum(a, &u, &v).to_jacobian(a).to_affine(a).to_bytes(), expected);
            }
        });
    });
}

// Goal: sums of as many points as there may be, and of fewer, in which many pairs are equal or opposite.
fn sums_of_many<C: Known>() {
    run((proptest::collection::vec(-6i64..6, 0..=74), -6i64..6), |(multiples, first)| {
        let number = |k: i64| if k < 0 { less(&C::N.m, k.unsigned_abs()) } else { [k.unsigned_abs(), 0, 0, 0] };
        let multiples: Vec<i64> = multiples.into_iter().filter(|k| *k != 0).collect();
        let total = first + multiples.iter().sum::<i64>();
        let expected = if total == 0 { [0; 64] } else { C::multiple(&number(total)) };
        on_each!(a => {
            let mut summands = Summands::new();
            for k in &multiples {
                summands.push(point::<C>(&number(*k)));
            }
            let first = if first == 0 { Xyzz::INFINITY } else { Xyzz::from(point::<C>(&number(first))) };
            assert_eq!(summands.add_to(a, first).to_jacobian(a).to_affine(a).to_bytes(), expected, "{a:?}: {multiples:?}");
        });
    });
}

// Goal: the formulas' own exceptions: infinity on either side, a point and itself, a point and its opposite.
fn exceptional_sums<C: Known>() {
    let double = C::multiple(&[2, 0, 0, 0]);
    let opposite = C::G.negate_if(u64::MAX);
    on_each!(a => {
        let affine = |point: Jacobian<C>| point.to_affine(a).to_bytes();
        let (infinity, g) = (Jacobian::<C>::INFINITY, Jacobian::from(C::G));
        assert_eq!(affine(infinity.double(a)), [0; 64]);
        assert_eq!(affine(infinity.add_public(a, &C::G)), C::G.to_bytes());
        for sum in [g.double(a), g.add_any(a, &C::G), g.add_public(a, &C::G)] {
            assert_eq!(affine(sum), double);
        }
        for sum in [g.add(a, &opposite), g.add_any(a, &opposite), g.add_public(a, &opposite)] {
            assert_eq!(affine(sum), [0; 64]);
        }

        let affine = |point: Xyzz<C>| affine(point.to_jacobian(a));
        let (infinity, g) = (Xyzz::<C>::INFINITY, Xyzz::from(C::G));
        assert_eq!(affine(infinity.add_public(a, &C::G)), C::G.to_bytes());
        assert_eq!(affine(g.add_public(a, &C::G)), double);
        for sum in [infinity, g.add(a, &opposite), g.add_public(a, &opposite)] {
            assert_eq!(affine(sum), [0; 64]);
            assert!(!sum.has_x(a, &[0; 4]), "infinity has no x");
        }
    });
}

// Goal: coordinates of one kind and the other are of the same point, whatever its Z.
fn coordinates_of_both_kinds<C: Known>() {
    on_each!(a => {
        let (five, three) = (point::<C>(&[5, 0, 0, 0]), point::<C>(&[3, 0, 0, 0]));
        let sum = Jacobian::from(five).add(a, &three);
        let of_both = Xyzz::from_jacobian(a, &sum);
        assert_eq!(sum.to_affine(a), point(&[8, 0, 0, 0]));
        assert_eq!(of_both.to_jacobian(a).to_affine(a), point(&[8, 0, 0, 0]));
        assert_eq!(of_both.add(a, &three).to_jacobian(a).to_affine(a), point(&[11, 0, 0, 0]));
        assert!(of_both.has_x(a, &limbs::from_bytes(&sum.to_affine(a).x.to_bytes())));
        assert!(!of_both.has_x(a, &limbs::from_bytes(&five.x.to_bytes())));
        let infinity = Xyzz::from_jacobian(a, &Jacobian::<C>::INFINITY);
        assert_eq!(infinity.to_jacobian(a).to_affine(a).to_bytes(), [0; 64]);
    });
}

// Goal: whichever entry is looked up, it is that one, among as many entries as are used anywhere.
fn look_ups<C: Known>() {
    fn check<C: Curve, const N: usize>() {
        let entries: [Affine<C>; N] = table::odd_multiples(Portable, &C::G);
        on_each!(a => {
            for (entry, index) in entries.iter().zip(0..) {
                assert_eq!(a.look_up(&entries, index), *entry, "{a:?}");
            }
        });
    }
    check::<C, 16>();
    check::<C, 64>();
}

// Goal: what is no point of the curve is refused, at and beyond every border.
fn points_are_on_the_curve<C: Known>() {
    let good = C::multiple(&[1, 0, 0, 0]);
    assert_eq!(Affine::from_bytes(&good), Some(C::G));
    assert_eq!(Affine::<C>::from_bytes(&[0; 64]), None);
    assert_eq!(Affine::<C>::from_bytes(&[0xff; 64]), None);
    for bit in 0..512 {
        let mut bad = good;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Affine::<C>::from_bytes(&bad), None, "bit {bit}");
    }
}

for_each_curve!(products_at_the_edges products sums_that_meet sums_of_many exceptional_sums coordinates_of_both_kinds look_ups points_are_on_the_curve);
