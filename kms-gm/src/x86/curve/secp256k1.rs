//! Products modulo 2^256 - 2^32 - 977, of numbers as they are.

use core::arch::asm;

use super::Adx;
use crate::curve::limbs::Limbs;

/// Words `t0` to `t3` plus a word of b times a; `t4` becomes the highest. Two chains of carries.
macro_rules! row {
    ($at:literal, $t0:literal, $t1:literal, $t2:literal, $t3:literal, $t4:literal) => {
        concat!(
            "mov rdx, [{b} + ",
            $at,
            "]\n",
            "xor {",
            $t4,
            ":e}, {",
            $t4,
            ":e}\n",
            "mulx {hi}, {lo}, [{a}]\n",
            "adcx {",
            $t0,
            "}, {lo}\n",
            "adox {",
            $t1,
            "}, {hi}\n",
            "mulx {hi}, {lo}, [{a} + 8]\n",
            "adcx {",
            $t1,
            "}, {lo}\n",
            "adox {",
            $t2,
            "}, {hi}\n",
            "mulx {hi}, {lo}, [{a} + 16]\n",
            "adcx {",
            $t2,
            "}, {lo}\n",
            "adox {",
            $t3,
            "}, {hi}\n",
            "mulx {hi}, {lo}, [{a} + 24]\n",
            "adcx {",
            $t3,
            "}, {lo}\n",
            "adox {",
            $t4,
            "}, {hi}\n",
            "adc {",
            $t4,
            "}, 0\n",
        )
    };
}

/// Brings eight words below p: 2^256 is 2^32 + 977 modulo p. `t8` is the address that is not needed any more.
macro_rules! reduce {
    () => {
        concat!(
            "movabs rdx, 0x1000003d1\n",
            "xor {a:e}, {a:e}\n",
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
            "adox {a}, {hi}\n",
            "adc {a}, 0\n",
            "mulx {t5}, {t4}, {a}\n",
            "xor {a:e}, {a:e}\n",
            "add {t0}, {t4}\n",
            "adc {t1}, {t5}\n",
            "adc {t2}, 0\n",
            "adc {t3}, 0\n",
            "adc {a}, 0\n",
            "mov {t4}, {t0}\n",
            "mov {t5}, {t1}\n",
            "mov {t6}, {t2}\n",
            "mov {t7}, {t3}\n",
            "add {t4}, rdx\n",
            "adc {t5}, 0\n",
            "adc {t6}, 0\n",
            "adc {t7}, 0\n",
            "adc {a}, -1\n",
            "cmovc {t0}, {t4}\n",
            "cmovc {t1}, {t5}\n",
            "cmovc {t2}, {t6}\n",
            "cmovc {t3}, {t7}\n",
        )
    };
}

/// a·b mod p.
#[inline(always)]
pub(crate) fn mul(_: Adx, a: &Limbs, b: &Limbs) -> Limbs {
    let (r0, r1, r2, r3);
    // SAFETY: an `Adx` is the proof that the processor has the instructions. Memory is only read, at the four words of
    // both operands; the stack is not used.
    unsafe {
        asm!(
            "mov rdx, [{b}]",
            "mulx {t1}, {t0}, [{a}]",
            "mulx {t2}, {lo}, [{a} + 8]",
            "add {t1}, {lo}",
            "mulx {t3}, {lo}, [{a} + 16]",
            "adc {t2}, {lo}",
            "mulx {t4}, {lo}, [{a} + 24]",
            "adc {t3}, {lo}",
            "adc {t4}, 0",
            row!(8, "t1", "t2", "t3", "t4", "t5"),
            row!(16, "t2", "t3", "t4", "t5", "t6"),
            row!(24, "t3", "t4", "t5", "t6", "t7"),
            reduce!(),
            a = inout(reg) a.as_ptr() => _,
            b = in(reg) b.as_ptr(),
            t0 = out(reg) r0,
            t1 = out(reg) r1,
            t2 = out(reg) r2,
            t3 = out(reg) r3,
            t4 = out(reg) _,
            t5 = out(reg) _,
            t6 = out(reg) _,
            t7 = out(reg) _,
            lo = out(reg) _,
            hi = out(reg) _,
            out("rdx") _,
            options(pure, readonly, nostack),
        );
    }
    [r0, r1, r2, r3]
}

/// a·a mod p.
#[inline(always)]
pub(crate) fn square(_: Adx, a: &Limbs) -> Limbs {
    let (r0, r1, r2, r3);
    // SAFETY: as in `mul`.
    unsafe {
        asm!(
            square!(),
            reduce!(),
            a = inout(reg) a.as_ptr() => _,
            t0 = out(reg) r0,
            t1 = out(reg) r1,
            t2 = out(reg) r2,
            t3 = out(reg) r3,
            t4 = out(reg) _,
            t5 = out(reg) _,
            t6 = out(reg) _,
            t7 = out(reg) _,
            lo = out(reg) _,
            hi = out(reg) _,
            out("rdx") _,
            options(pure, readonly, nostack),
        );
    }
    [r0, r1, r2, r3]
}
