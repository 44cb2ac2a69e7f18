//! Products modulo 2^256 - 2^224 + 2^192 + 2^96 - 1, in Montgomery's form.

use core::arch::asm;

use super::Adx;
use crate::curve::limbs::Limbs;

/// A step of the reduction: t + t0·p, without the lowest word, which is 0. The rest is t plus
/// t0·(2^192 - 2^160 + 2^128 + 2^32), by the two factors in `a` and `b`: additions that carry are scarcer than products.
macro_rules! step {
    ($t0:literal, $t1:literal, $t2:literal, $t3:literal) => {
        concat!(
            "mov rdx, {",
            $t0,
            "}\n",
            "mulx {hi}, {lo}, {a}\n",
            "add {",
            $t1,
            "}, {lo}\n",
            "adc {",
            $t2,
            "}, {hi}\n",
            "mulx {",
            $t0,
            "}, {lo}, {b}\n",
            "adc {",
            $t3,
            "}, {lo}\n",
            "adc {",
            $t0,
            "}, 0\n",
        )
    };
}

/// The five words of the sum less p if that is not negative: the others are the sum plus 2^256 - p, kept where there is a
/// carry.
macro_rules! reduce {
    () => {
        concat!(
            "movabs {b}, 0xffffffff00000001\n",
            "movabs {a}, 0x100000000\n",
            montgomery!(step),
            "mov {t5}, {t0}\n",
            "mov {t6}, {t1}\n",
            "mov {t7}, {t2}\n",
            "mov {lo}, {t3}\n",
            "movabs rdx, 0xffffffff00000000\n",
            "mov {a:e}, 0xfffffffe\n",
            "add {t5}, 1\n",
            "adc {t6}, rdx\n",
            "adc {t7}, -1\n",
            "adc {lo}, {a}\n",
            "adc {t4}, -1\n",
            "cmovc {t0}, {t5}\n",
            "cmovc {t1}, {t6}\n",
            "cmovc {t2}, {t7}\n",
            "cmovc {t3}, {lo}\n",
        )
    };
}

products!(reduce);
