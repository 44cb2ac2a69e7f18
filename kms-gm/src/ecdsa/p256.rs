//! NIST P-256: y² = x³ - 3x + b over p = 2^256 - 2^224 + 2^192 + 2^96 - 1 (SP 800-186, section 3.2.1.3).

use core::ptr::null_mut;
use core::sync::atomic::AtomicPtr;

use crate::curve::limbs::{Limbs, adc, mac};
use crate::curve::{Affine, CoefficientA, Curve, Fe, Modulus, Table, montgomery_mul, montgomery_square};
#[cfg(target_arch = "x86_64")]
use crate::x86::{self, Adx};

/// p.
const P: Modulus =
    Modulus::new([0xffff_ffff_ffff_ffff, 0x0000_0000_ffff_ffff, 0x0000_0000_0000_0000, 0xffff_ffff_0000_0001]);

/// n, the order of the base point.
const N: Modulus =
    Modulus::new([0xf3b9_cac2_fc63_2551, 0xbce6_faad_a717_9e84, 0xffff_ffff_ffff_ffff, 0xffff_ffff_0000_0000]);

/// NIST P-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct P256;

impl Curve for P256 {
    const P: &'static Modulus = &P;
    const N: &'static Modulus = &N;
    const A: CoefficientA = CoefficientA::MinusThree;
    const B: Fe<Self> =
        constant([0x3bce_3c3e_27d2_604b, 0x651d_06b0_cc53_b0f6, 0xb3eb_bd55_7698_86bc, 0x5ac6_35d8_aa3a_93e7]);
    const G: Affine<Self> = Affine {
        x: constant([0xf4a1_3945_d898_c296, 0x7703_7d81_2deb_33a0, 0xf8bc_e6e5_63a4_40f2, 0x6b17_d1f2_e12c_4247]),
        y: constant([0xcbb6_4068_37bf_51f5, 0x2bce_3357_6b31_5ece, 0x8ee7_eb4a_7c0f_9e16, 0x4fe3_42e2_fe1a_7f9b]),
    };

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
        x86::p256::mul(adx, a, b)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn square_adx(adx: Adx, a: &Limbs) -> Limbs {
        x86::p256::square(adx, a)
    }

    fn base_table() -> &'static AtomicPtr<Table<Self>> {
        static TABLE: AtomicPtr<Table<P256>> = AtomicPtr::new(null_mut());
        &TABLE
    }
}

/// A coordinate.
const fn constant(number: Limbs) -> Fe<P256> {
    Fe::new(P.residue(&number))
}

/// One step of Montgomery's reduction: adds `lowest`·p, which makes the lowest word zero and drops it.
///
/// p is -1 modulo 2^64, so that the factor is the word itself; what it adds to the words above the lowest is
/// lowest·2^32 and, from the third on, lowest·(2^64 - 2^32 + 1).
#[inline(always)]
const fn reduce(lowest: u64, t: [u64; 5]) -> [u64; 5] {
    let (t0, carry) = adc(t[0], lowest << 32, 0);
    let (t1, carry) = adc(t[1], lowest >> 32, carry);
    let (t2, high) = mac(t[2], lowest, P.m[3], carry);
    let (t3, carry) = adc(t[3], high, 0);
    [t0, t1, t2, t3, t[4] + carry]
}
