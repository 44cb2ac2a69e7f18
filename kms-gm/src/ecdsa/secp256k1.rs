//! secp256k1: y² = x³ + 7 over p = 2^256 - 2^32 - 977 (SEC 2, section 2.4.1).

use core::ptr::null_mut;
use core::sync::atomic::AtomicPtr;

use crate::curve::limbs::{self, Limbs, adc, mac};
use crate::curve::{Affine, CoefficientA, Curve, Fe, Modulus, Table};
#[cfg(target_arch = "x86_64")]
use crate::x86::{self, Adx};

/// p.
const P: Modulus = Modulus::of_plain_residues([
    0xffff_fffe_ffff_fc2f,
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
]);

/// n, the order of the base point.
const N: Modulus =
    Modulus::new([0xbfd2_5e8c_d036_4141, 0xbaae_dce6_af48_a03b, 0xffff_ffff_ffff_fffe, 0xffff_ffff_ffff_ffff]);

/// 2^256 - p.
const C: u64 = (1 << 32) + 977;

/// secp256k1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secp256k1;

impl Curve for Secp256k1 {
    const P: &'static Modulus = &P;
    const N: &'static Modulus = &N;
    const A: CoefficientA = CoefficientA::Zero;
    const B: Fe<Self> = Fe::new([7, 0, 0, 0]);
    const G: Affine<Self> = Affine {
        x: Fe::new([0x59f2_815b_16f8_1798, 0x029b_fcdb_2dce_28d9, 0x55a0_6295_ce87_0b07, 0x79be_667e_f9dc_bbac]),
        y: Fe::new([0x9c47_d08f_fb10_d4b8, 0xfd17_b448_a685_5419, 0x5da4_fbfc_0e11_08a8, 0x483a_da77_26a3_c465]),
    };

    #[inline(always)]
    fn mul(a: &Limbs, b: &Limbs) -> Limbs {
        reduce(limbs::mul(a, b))
    }

    #[inline(always)]
    fn square(a: &Limbs) -> Limbs {
        reduce(limbs::square(a))
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn mul_adx(adx: Adx, a: &Limbs, b: &Limbs) -> Limbs {
        x86::secp256k1::mul(adx, a, b)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn square_adx(adx: Adx, a: &Limbs) -> Limbs {
        x86::secp256k1::square(adx, a)
    }

    fn base_table() -> &'static AtomicPtr<Table<Self>> {
        static TABLE: AtomicPtr<Table<Secp256k1>> = AtomicPtr::new(null_mut());
        &TABLE
    }
}

/// The residue of eight words: 2^256 is C modulo p.
#[inline(always)]
fn reduce(t: [u64; 8]) -> Limbs {
    let (t0, high) = mac(t[0], t[4], C, 0);
    let (t1, high) = mac(t[1], t[5], C, high);
    let (t2, high) = mac(t[2], t[6], C, high);
    let (t3, high) = mac(t[3], t[7], C, high);
    // What stands above is at most C.
    let (t0, high) = mac(t0, high, C, 0);
    let (t1, carry) = adc(t1, high, 0);
    let (t2, carry) = adc(t2, 0, carry);
    let (t3, carry) = adc(t3, 0, carry);
    limbs::reduce_once(&[t0, t1, t2, t3], carry, &P.m)
}
