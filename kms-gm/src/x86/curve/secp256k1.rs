//! Products modulo 2^256 - 2^32 - 977, of numbers as they are.

use core::arch::asm;

use super::Adx;
use crate::curve::limbs::Limbs;

/// Brings eight words below p: 2^256 is 2^32 + 977 modulo p.
macro_rules! reduce {
    () => {
        concat!(
            "movabs rdx, 0x1000003d1\n",
            "xor {b:e}, {b:e}\n",
            "mulx {hi}, {lo}, {t4}\n",
            "adcx {t0}, {lo}\n",
            "adox {t1}, {hi}\n",
            "mulx {hi}, {lo}, {t5}\n",
            "adcx {t1}, {lo}\n",
            "adox {t2}, {hi}\n",
            "mulx {hi}, {lo}, {t6}\n",
            "adcx {t2}, {lo}\n",
            "adox {t3}, {hi}\n",
            "mulx {hi}, {lo}, {t7}\n",
            "adcx {t3}, {lo}\n",
            "adox {b}, {hi}\n",
            "adc {b}, 0\n",
            "mulx {t5}, {t4}, {b}\n",
            "xor {b:e}, {b:e}\n",
            "add {t0}, {t4}\n",
            "adc {t1}, {t5}\n",
            "adc {t2}, 0\n",
            "adc {t3}, 0\n",
            "adc {b}, 0\n",
            "mov {t4}, {t0}\n",
            "mov {t5}, {t1}\n",
            "mov {t6}, {t2}\n",
            "mov {t7}, {t3}\n",
            "add {t4}, rdx\n",
            "adc {t5}, 0\n",
            "adc {t6}, 0\n",
            "adc {t7}, 0\n",
            "adc {b}, -1\n",
            "cmovc {t0}, {t4}\n",
            "cmovc {t1}, {t5}\n",
            "cmovc {t2}, {t6}\n",
            "cmovc {t3}, {t7}\n",
        )
    };
}

products!(reduce);
