//! Products modulo 2^256 - 2^224 - 2^96 + 2^64 - 1, in Montgomery's form.

use core::arch::asm;

use super::Adx;
use crate::curve::limbs::Limbs;

/// A step of the reduction: t + t0·p, without the lowest word, which is 0. The rest is t plus
/// t0·(2^192 - 2^160 - 2^32 + 1): with t0 as its highest word, less t0·(2^32 - 1) and less t0·2^32 two words higher. `rdx`
/// is 2^32: shifts are scarcer than products.
macro_rules! step {
    ($t0:literal, $t1:literal, $t2:literal, $t3:literal) => {
        concat!(
            "mulx {hi}, {lo}, {",
            $t0,
            "}\n",
            "mov {a}, {lo}\n",
            "mov {b}, {hi}\n",
            "sub {lo}, {",
            $t0,
            "}\n",
            "sbb {hi}, 0\n",
            "sub {",
            $t1,
            "}, {lo}\n",
            "sbb {",
            $t2,
            "}, {hi}\n",
            "sbb {",
            $t3,
            "}, {a}\n",
            "sbb {",
            $t0,
            "}, {b}\n",
        )
    };
}

/// The five words of the sum less p if that is not negative: the others are the sum plus 2^256 - p, kept where there is a
/// carry.
macro_rules! reduce {
    () => {
        concat!(
            "movabs rdx, 0x100000000\n",
            montgomery!(step),
            "mov {t5}, {t0}\n",
            "mov {t6}, {t1}\n",
            "mov {t7}, {t2}\n",
            "mov {lo}, {t3}\n",
            "mov edx, -1\n",
            "lea {a}, [rdx + 1]\n",
            "add {t5}, 1\n",
            "adc {t6}, rdx\n",
            "adc {t7}, 0\n",
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
