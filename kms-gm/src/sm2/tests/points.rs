//! Multiples of points against the `sm2` crate.

use ::sm2::elliptic_curve::PrimeField;
use ::sm2::elliptic_curve::sec1::ToSec1Point;
use ::sm2::{ProjectivePoint, Scalar};
use proptest::prelude::*;

use super::super::arithmetic::{Arithmetic as _, Portable, on_each};
use super::super::field::Fe;
use super::super::limbs::{self, Limbs};
use super::super::point::{Affine, G, Jacobian};
use super::super::product;
use super::super::scalar::{self, N};
use super::super::table::{self, Table};

fn theirs(k: &Limbs) -> Scalar {
    Scalar::from_repr(limbs::to_bytes(k).into()).expect("below the order")
}

/// X || Y, or zeros for the point at infinity.
fn bytes(point: ProjectivePoint) -> [u8; 64] {
    let encoded = point.to_affine().to_sec1_point(false);
    encoded.as_bytes().get(1..).map_or([0; 64], |bytes| bytes.try_into().expect("an uncompressed point"))
}

/// Numbers of the least and the most, of one bit, of digits at the ends of their windows, and some others.
fn scalars() -> Vec<Limbs> {
    let small = (1..40).map(|small| [small, 0, 0, 0]);
    let large = (1..40).map(|less| limbs::sub(&N.m, &[less, 0, 0, 0]).0);
    let bits = (0..256).map(|bit| {
        let mut k = [0; 4];
        k[bit / 64] = 1 << (bit % 64);
        k
    });
    let patterns = [0x8102_0408_1020_4081, 0x4210_8421_0842_1084, 0x5555_5555_5555_5555, u64::MAX, u64::MAX - 1]
        .map(|word| scalar::reduced(&[word; 4]));
    small.chain(large).chain(bits).chain(patterns).collect()
}

fn check(point: &Affine, their_point: ProjectivePoint, table: &Table, k: &Limbs) {
    let expected = bytes(their_point * theirs(k));
    on_each!(a => {
        assert_eq!(table.mul(a, k).to_affine(a).to_bytes(), expected, "by table, {a:?}: {k:x?}");
        assert_eq!(product::mul(a, point, k).to_affine(a).to_bytes(), expected, "{a:?}: {k:x?}");
        let sum = table.add_product(a, Jacobian::INFINITY, k);
        assert_eq!(sum.to_affine(a).to_bytes(), expected, "public, by table, {a:?}: {k:x?}");
        assert_eq!(product::mul_public(a, point, k).to_affine(a).to_bytes(), expected, "public, {a:?}: {k:x?}");
    });
}

#[test]
fn products_at_the_edges() {
    let base = Table::of_base(Portable);
    let other = Affine::from_bytes(&bytes(ProjectivePoint::GENERATOR * Scalar::from(7u64))).expect("a point");
    let table = Table::new(Portable, &other);
    for k in scalars() {
        check(&G, ProjectivePoint::GENERATOR, base, &k);
        check(&other, ProjectivePoint::GENERATOR * Scalar::from(7u64), &table, &k);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn products(k in prop::array::uniform4(any::<u64>()), of in prop::array::uniform4(any::<u64>())) {
        let (k, of) = (scalar::reduced(&k), scalar::reduced(&of));
        let their_point = ProjectivePoint::GENERATOR * theirs(&of);
        let point = Affine::from_bytes(&bytes(their_point)).expect("a point");
        check(&point, their_point, &Table::new(Portable, &point), &k);
    }

    // Goal: s·G + t·P for keys P whose multiples meet those of G: equal and opposite summands, and infinity.
    #[test]
    fn sums_that_meet(of in 1u64..200, negative: bool, s in 0u64..200, t in 0u64..200) {
        let scalar = if negative { limbs::sub(&N.m, &[of, 0, 0, 0]).0 } else { [of, 0, 0, 0] };
        let their_point = ProjectivePoint::GENERATOR * theirs(&scalar);
        let point = Affine::from_bytes(&bytes(their_point)).expect("a point");
        let expected = bytes(ProjectivePoint::GENERATOR * Scalar::from(s) + their_point * Scalar::from(t));
        let (s, t) = ([s, 0, 0, 0], [t, 0, 0, 0]);
        on_each!(a => {
            for of_key in [
                Table::new(a, &point).add_product(a, Jacobian::INFINITY, &t),
                product::mul_public(a, &point, &t),
            ] {
                let sum = Table::of_base(a).add_product(a, of_key, &s);
                assert_eq!(sum.to_affine(a).to_bytes(), expected);
            }
        });
    }
}

// Goal: the formulas' own exceptions: infinity on either side, a point and itself, a point and its opposite.
#[test]
fn exceptional_sums() {
    let double = ProjectivePoint::GENERATOR * Scalar::from(2u64);
    let infinity = Jacobian::INFINITY;
    on_each!(a => {
        let g = Jacobian::from(G);
        let affine = |point: Jacobian| point.to_affine(a).to_bytes();
        assert_eq!(affine(infinity.double(a)), [0; 64]);
        for sum in [infinity.add(a, &G, 0), infinity.add_any(a, &G, 0), infinity.add_public(a, &G)] {
            assert_eq!(affine(sum), G.to_bytes());
        }
        for sum in [infinity.add(a, &G, u64::MAX), infinity.add_any(a, &G, u64::MAX)] {
            assert_eq!(affine(sum), [0; 64]);
        }
        for sum in [g.add(a, &G, u64::MAX), g.add_any(a, &G, u64::MAX)] {
            assert_eq!(affine(sum), G.to_bytes());
        }
        for sum in [g.double(a), g.add_any(a, &G, 0), g.add_public(a, &G)] {
            assert_eq!(affine(sum), bytes(double));
        }
        let opposite = G.negate_if(u64::MAX);
        for sum in [g.add(a, &opposite, 0), g.add_any(a, &opposite, 0), g.add_public(a, &opposite)] {
            assert_eq!(affine(sum), [0; 64]);
            assert!(!sum.has_x(a, &[0; 4]), "infinity has no x");
        }
    });
}

// Goal: whichever entry is looked up, it is that one, from tables of every length that is used.
#[test]
fn look_ups() {
    let entries: [Affine; 64] = table::multiples(Portable, &G);
    let none = Affine { x: Fe::ZERO, y: Fe::ZERO };
    on_each!(a => {
        for len in [16, 64] {
            for index in 0..=len {
                let expected = if index == 0 { none } else { entries[index - 1] };
                assert_eq!(a.look_up(&entries[..len], index as u64), expected, "{a:?}");
            }
        }
    });
}

// Goal: what is no point of the curve is refused, at and beyond every border.
#[test]
fn points_are_on_the_curve() {
    let good = G.to_bytes();
    assert_eq!(Affine::from_bytes(&good), Some(G));
    assert_eq!(Affine::from_bytes(&[0; 64]), None);
    assert_eq!(Affine::from_bytes(&[0xff; 64]), None);
    for bit in 0..512 {
        let mut bad = good;
        bad[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Affine::from_bytes(&bad), None, "bit {bit}");
    }
}
