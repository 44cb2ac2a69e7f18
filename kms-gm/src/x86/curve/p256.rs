//! Products modulo 2^256 - 2^224 + 2^192 + 2^96 - 1.

use core::arch::asm;

use super::Adx;
use crate::curve::limbs::Limbs;

/// A step of Montgomery's reduction: t + t0·p, whose lowest word is 0 and left to be used anew (see `ecdsa::p256::reduce`).
macro_rules! reduce {
    ($t0:literal, $t1:literal, $t2:literal, $t3:literal, $t4:literal, $t5:literal) => {
        concat!(
            "movabs {hi}, 0xffffffff00000001\n",
            "mov rdx, {",
            $t0,
            "}\n",
            "mov {lo}, {",
            $t0,
            "}\n",
            "shl {lo}, 32\n",
            "shr {",
            $t0,
            "}, 32\n",
            "add {",
            $t1,
            "}, {lo}\n",
            "adc {",
            $t2,
            "}, {",
            $t0,
            "}\n",
            "mulx {hi}, {lo}, {hi}\n",
            "adc {",
            $t3,
            "}, {lo}\n",
            "adc {",
            $t4,
            "}, {hi}\n",
            "adc {",
            $t5,
            "}, 0\n",
        )
    };
}

/// The same on a number of four words, of which `t0` becomes the highest.
macro_rules! reduce_low {
    ($t0:literal, $t1:literal, $t2:literal, $t3:literal) => {
        concat!(
            "movabs {hi}, 0xffffffff00000001\n",
            "mov rdx, {",
            $t0,
            "}\n",
            "mov {lo}, {",
            $t0,
            "}\n",
            "shl {lo}, 32\n",
            "shr {",
            $t0,
            "}, 32\n",
            "add {",
            $t1,
            "}, {lo}\n",
            "adc {",
            $t2,
            "}, {",
            $t0,
            "}\n",
            "mulx {",
            $t0,
            "}, {lo}, {hi}\n",
            "adc {",
            $t3,
            "}, {lo}\n",
            "adc {",
            $t0,
            "}, 0\n",
        )
    };
}

/// The sum of five words less p if that is not negative: `q` is the sum plus 2^256 - p, kept where there is a carry.
macro_rules! subtract_once {
    ($c0:literal, $c1:literal, $c2:literal, $c3:literal, $c4:literal, $q0:literal, $q1:literal, $q2:literal, $q3:literal) => {
        concat!(
            "mov {",
            $q0,
            "}, {",
            $c0,
            "}\n",
            "mov {",
            $q1,
            "}, {",
            $c1,
            "}\n",
            "mov {",
            $q2,
            "}, {",
            $c2,
            "}\n",
            "mov {",
            $q3,
            "}, {",
            $c3,
            "}\n",
            "movabs rdx, 0xffffffff00000000\n",
            "mov {a:e}, 0xfffffffe\n",
            "add {",
            $q0,
            "}, 1\n",
            "adc {",
            $q1,
            "}, rdx\n",
            "adc {",
            $q2,
            "}, -1\n",
            "adc {",
            $q3,
            "}, {a}\n",
            "adc {",
            $c4,
            "}, -1\n",
            "cmovc {",
            $c0,
            "}, {",
            $q0,
            "}\n",
            "cmovc {",
            $c1,
            "}, {",
            $q1,
            "}\n",
            "cmovc {",
            $c2,
            "}, {",
            $q2,
            "}\n",
            "cmovc {",
            $c3,
            "}, {",
            $q3,
            "}\n",
        )
    };
}

montgomery!(reduce, reduce_low, subtract_once);
