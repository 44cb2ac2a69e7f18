//! The recommended curve: y² = x³ - 3x + b over p = 2^256 - 2^224 - 2^96 + 2^64 - 1 (GB/T 32918.5-2017).

use core::ptr::null_mut;
use core::sync::atomic::AtomicPtr;

use super::NUMBER_LEN;
use crate::curve::limbs::{self, Limbs, adc, sbb};
use crate::curve::{Affine, CoefficientA, Curve, Fe, Modulus, Table, montgomery_mul, montgomery_square};
#[cfg(target_arch = "x86_64")]
use crate::x86::{self, Adx};

/// a, b and the base point of the curve, as they are hashed into Z_A.
pub(super) const CURVE: [u8; 128] = *b"\
    \xff\xff\xff\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xfc\
    \x28\xe9\xfa\x9e\x9d\x9f\x5e\x34\x4d\x5a\x9e\x4b\xcf\x65\x09\xa7\xf3\x97\x89\xf5\x15\xab\x8f\x92\xdd\xbc\xbd\x41\x4d\x94\x0e\x93\
    \x32\xc4\xae\x2c\x1f\x19\x81\x19\x5f\x99\x04\x46\x6a\x39\xc9\x94\x8f\xe3\x0b\xbf\xf2\x66\x0b\xe1\x71\x5a\x45\x89\x33\x4c\x74\xc7\
    \xbc\x37\x36\xa2\xf4\xf6\x77\x9c\x59\xbd\xce\xe3\x6b\x69\x21\x53\xd0\xa9\x87\x7c\xc6\x2a\x47\x40\x02\xdf\x32\xe5\x21\x39\xf0\xa0";

/// p.
const P: Modulus =
    Modulus::new([0xffff_ffff_ffff_ffff, 0xffff_ffff_0000_0000, 0xffff_ffff_ffff_ffff, 0xffff_fffe_ffff_ffff]);

/// n, the order of the base point.
pub(crate) const N: Modulus =
    Modulus::new([0x53bb_f409_39d5_4123, 0x7203_df6b_21c6_052b, 0xffff_ffff_ffff_ffff, 0xffff_fffe_ffff_ffff]);

/// Of a, b, x and y of the base point, the one with this number.
const fn constant(i: usize) -> Fe<Sm2> {
    let mut bytes = [0; NUMBER_LEN];
    let mut at = 0;
    while at < NUMBER_LEN {
        bytes[at] = CURVE[i * NUMBER_LEN + at];
        at += 1;
    }
    Fe::new(P.residue(&limbs::from_bytes(&bytes)))
}

/// SM2's curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sm2;

impl Curve for Sm2 {
    const P: &'static Modulus = &P;
    const N: &'static Modulus = &N;
    const A: CoefficientA = CoefficientA::MinusThree;
    const B: Fe<Self> = constant(1);
    const G: Affine<Self> = Affine { x: constant(2), y: constant(3) };

    #[inline(always)]
    fn mul(a: &Limbs, b: &Limbs) -> Limbs {
        montgomery_mul(a, b, &P.m, reduce)
    }

    #[inline(always)]
    fn square(a: &Limbs) -> Limbs {
        montgomery_square(a, &P.m, reduce)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn mul_adx(adx: Adx, a: &Limbs, b: &Limbs) -> Limbs {
        x86::sm2::mul(adx, a, b)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn square_adx(adx: Adx, a: &Limbs) -> Limbs {
        x86::sm2::square(adx, a)
    }

    fn base_table() -> &'static AtomicPtr<Table<Self>> {
        static TABLE: AtomicPtr<Table<Sm2>> = AtomicPtr::new(null_mut());
        &TABLE
    }
}

/// One step of Montgomery's reduction: adds `lowest`·p, which makes the lowest word zero and drops it.
///
/// p is -1 modulo 2^64, so that the factor is the word itself; and lowest·p has only shifts in it:
/// lowest·(2^256 - 2^224 - 2^96 + 2^64 - 1).
#[inline(always)]
const fn reduce(lowest: u64, t: [u64; 5]) -> [u64; 5] {
    let (low, high) = (lowest << 32, lowest >> 32);
    // lowest·(2^192 - 2^160 - 2^32 + 1) in four words, which is not negative.
    let (q0, borrow) = sbb(lowest, low, 0);
    let (q1, borrow) = sbb(0, high, borrow);
    let (q2, borrow) = sbb(0, low, borrow);
    let (q3, _) = sbb(lowest, high, borrow);
    let (t0, carry) = adc(t[0], q0, 0);
    let (t1, carry) = adc(t[1], q1, carry);
    let (t2, carry) = adc(t[2], q2, carry);
    let (t3, carry) = adc(t[3], q3, carry);
    [t0, t1, t2, t3, t[4] + carry]
}
