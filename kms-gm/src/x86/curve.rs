//! Coordinates of curves by MULX, ADCX and ADOX: a product of two words leaves the flags alone, and two sums carry at a time.

use core::arch::asm;
use core::arch::x86_64::{
    __m256i, _mm256_add_epi64, _mm256_and_si256, _mm256_cmpeq_epi64, _mm256_load_si256, _mm256_or_si256,
    _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_store_si256,
};
use core::cell::Cell;

use crate::curve::limbs::Limbs;
use crate::curve::search::{self, SearchIn};
use crate::curve::{Affine, Arithmetic, Curve, Fe, Products, Table, Xyzz};

/// BMI2, ADX and AVX2 are there.
#[derive(Clone, Copy)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Adx(());

impl Adx {
    #[inline]
    pub(crate) fn detect() -> Option<Self> {
        let has_adx = is_x86_feature_detected!("adx");
        // Valgrind runs these instructions, and says that it has none.
        #[cfg(feature = "memcheck")]
        let has_adx = has_adx || crate::memcheck::is_running();
        (has_adx && is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("avx2")).then_some(Self(()))
    }
}

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

/// The eight words of a·b.
macro_rules! product {
    () => {
        concat!(
            "mov rdx, [{b}]\n",
            "mulx {t1}, {t0}, [{a}]\n",
            "mulx {t2}, {lo}, [{a} + 8]\n",
            "add {t1}, {lo}\n",
            "mulx {t3}, {lo}, [{a} + 16]\n",
            "adc {t2}, {lo}\n",
            "mulx {t4}, {lo}, [{a} + 24]\n",
            "adc {t3}, {lo}\n",
            "adc {t4}, 0\n",
            row!(8, "t1", "t2", "t3", "t4", "t5"),
            row!(16, "t2", "t3", "t4", "t5", "t6"),
            row!(24, "t3", "t4", "t5", "t6", "t7"),
        )
    };
}

/// The eight words of a·a.
macro_rules! square {
    () => {
        concat!(
            // The products of different words.
            "mov rdx, [{a}]\n",
            "mulx {t2}, {t1}, [{a} + 8]\n",
            "mulx {t3}, {lo}, [{a} + 16]\n",
            "add {t2}, {lo}\n",
            "mulx {t4}, {lo}, [{a} + 24]\n",
            "adc {t3}, {lo}\n",
            "adc {t4}, 0\n",
            "mov rdx, [{a} + 8]\n",
            "xor {t5:e}, {t5:e}\n",
            "mulx {hi}, {lo}, [{a} + 16]\n",
            "adcx {t3}, {lo}\n",
            "adox {t4}, {hi}\n",
            "mulx {hi}, {lo}, [{a} + 24]\n",
            "adcx {t4}, {lo}\n",
            "adox {t5}, {hi}\n",
            "adc {t5}, 0\n",
            "mov rdx, [{a} + 16]\n",
            "mulx {t6}, {lo}, [{a} + 24]\n",
            "add {t5}, {lo}\n",
            "adc {t6}, 0\n",
            // Twice that, and the squares of the words.
            "mov rdx, [{a}]\n",
            "xor {t7:e}, {t7:e}\n",
            "mulx {hi}, {t0}, rdx\n",
            "adcx {t1}, {t1}\n",
            "adox {t1}, {hi}\n",
            "mov rdx, [{a} + 8]\n",
            "mulx {hi}, {lo}, rdx\n",
            "adcx {t2}, {t2}\n",
            "adox {t2}, {lo}\n",
            "adcx {t3}, {t3}\n",
            "adox {t3}, {hi}\n",
            "mov rdx, [{a} + 16]\n",
            "mulx {hi}, {lo}, rdx\n",
            "adcx {t4}, {t4}\n",
            "adox {t4}, {lo}\n",
            "adcx {t5}, {t5}\n",
            "adox {t5}, {hi}\n",
            "mov rdx, [{a} + 24]\n",
            "mulx {hi}, {lo}, rdx\n",
            "adcx {t6}, {t6}\n",
            "adox {t6}, {lo}\n",
            "adcx {t7}, {t7}\n",
            "adox {t7}, {hi}\n",
        )
    };
}

/// Half of a number of eight words, made zero word by word by one step of Montgomery's reduction each, which drops that word
/// and makes of its register the highest of the half; and what that carries added to the upper half: five words to `t4`.
///
/// The half stays one of four words: (2^256 - 1 + (2^64 - 1)·p)/2^64 is below 2^256. Of a product of residues the sum is below 2p.
macro_rules! montgomery {
    ($step:ident) => {
        concat!(
            $step!("t0", "t1", "t2", "t3"),
            $step!("t1", "t2", "t3", "t0"),
            $step!("t2", "t3", "t0", "t1"),
            $step!("t3", "t0", "t1", "t2"),
            "add {t0}, {t4}\n",
            "adc {t1}, {t5}\n",
            "adc {t2}, {t6}\n",
            "adc {t3}, {t7}\n",
            "mov {t4:e}, 0\n",
            "adc {t4}, 0\n",
        )
    };
}

/// Products of coordinates, given how eight words `t0` and following are brought to four below p. Every register is free for
/// that.
macro_rules! products {
    ($reduce:ident) => {
        /// a·b.
        #[inline(always)]
        pub(crate) fn mul(_: Adx, a: &Limbs, b: &Limbs) -> Limbs {
            let (r0, r1, r2, r3);
            // SAFETY: an `Adx` is the proof that the processor has the instructions. Memory is only read, at the four words of
            // both operands; the stack is not used. (Not `pure`, so that products stay in the order they are written in.)
            unsafe {
                asm!(
                    product!(),
                    $reduce!(),
                    a = inout(reg) a.as_ptr() => _,
                    b = inout(reg) b.as_ptr() => _,
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
                    options(readonly, nostack),
                );
            }
            [r0, r1, r2, r3]
        }

        /// a·a.
        #[inline(always)]
        pub(crate) fn square(_: Adx, a: &Limbs) -> Limbs {
            let (r0, r1, r2, r3);
            // SAFETY: as in `mul`.
            unsafe {
                asm!(
                    square!(),
                    $reduce!(),
                    a = inout(reg) a.as_ptr() => _,
                    b = out(reg) _,
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
                    options(readonly, nostack),
                );
            }
            [r0, r1, r2, r3]
        }
    };
}

pub(crate) mod p256;
pub(crate) mod secp256k1;
pub(crate) mod sm2;

impl Products for Adx {
    #[inline(always)]
    fn mul<C: Curve>(self, a: &Fe<C>, b: &Fe<C>) -> Fe<C> {
        Fe::new(C::mul_adx(self, &a.0, &b.0))
    }

    #[inline(always)]
    fn square<C: Curve>(self, a: &Fe<C>) -> Fe<C> {
        Fe::new(C::square_adx(self, &a.0))
    }
}

impl Arithmetic for Adx {
    #[inline]
    fn look_up<C: Curve, const N: usize>(self, entries: &[Affine<C>; N], index: u64) -> Affine<C> {
        #[target_feature(enable = "avx2")]
        fn look_up<C: Curve, const N: usize>(adx: Adx, entries: &[Affine<C>; N], index: u64) -> Affine<C> {
            Search::new(adx, entries, index).found()
        }
        // SAFETY: `self` is the proof that the processor has AVX2.
        unsafe { look_up(self, entries, index) }
    }

    fn by_table<C: Curve>(self, table: &Table<C>, k: &Limbs) -> Xyzz<C> {
        #[target_feature(enable = "avx2")]
        fn by_table<C: Curve>(adx: Adx, table: &Table<C>, k: &Limbs) -> Xyzz<C> {
            table.sum::<_, Search<'_, C, _>>(adx, k)
        }
        // SAFETY: as above.
        unsafe { by_table(self, table, k) }
    }
}

/// A look-up by AVX2.
struct Search<'w, C, const N: usize> {
    window: &'w [Affine<C>; N],
    /// The entry that is wanted, and the next one to be read.
    index: __m256i,
    at: Cell<__m256i>,
    next: Cell<usize>,
    x: Cell<__m256i>,
    y: Cell<__m256i>,
}

/// The same register, of which the optimiser knows nothing, at its place among other such and the products.
#[inline]
#[target_feature(enable = "avx2")]
fn hidden(mut register: __m256i) -> __m256i {
    // SAFETY: no instruction at all; the register stays as it is.
    unsafe { asm!("/* {0} */", inout(ymm_reg) register, options(nomem, nostack, preserves_flags)) };
    register
}

impl<C, const N: usize> Search<'_, C, N> {
    #[inline(always)]
    fn read(&self, count: usize) {
        let end = N.min(self.next.get() + count);
        for entry in &self.window[self.next.replace(end)..end] {
            // SAFETY: an `Adx`, without which there is no `Self`, is the proof that the processor has AVX2. An entry is two
            // coordinates of 32 bytes, one after the other, and aligned to 64.
            unsafe {
                let wanted = _mm256_cmpeq_epi64(self.at.get(), self.index);
                self.at.set(_mm256_add_epi64(self.at.get(), _mm256_set1_epi64x(1)));
                for (found, entry) in [(&self.x, &entry.x), (&self.y, &entry.y)] {
                    let entry = _mm256_load_si256(entry.0.as_ptr().cast());
                    found.set(_mm256_or_si256(found.get(), _mm256_and_si256(entry, wanted)));
                }
            }
        }
    }
}

impl<C, const N: usize> search::Search for Search<'_, C, N> {
    #[inline(always)]
    fn go_on(&self) {
        self.read(N.div_ceil(10));
        // Else the optimiser would part the look-up from the products, which stay in their order too.
        for found in [&self.x, &self.y] {
            // SAFETY: as in `read`.
            found.set(unsafe { hidden(found.get()) });
        }
    }
}

impl<'w, C: Curve, const N: usize> SearchIn<'w, Adx, C, N> for Search<'w, C, N> {
    #[inline(always)]
    fn new(_: Adx, window: &'w [Affine<C>; N], index: u64) -> Self {
        // SAFETY: an `Adx` is the proof that the processor has AVX2.
        let (index, zero) = unsafe { (hidden(_mm256_set1_epi64x(index.cast_signed())), _mm256_setzero_si256()) };
        let [at, x, y] = [zero; 3].map(Cell::new);
        Self { window, index, at, next: Cell::new(0), x, y }
    }

    #[inline(always)]
    fn found(self) -> Affine<C> {
        self.read(N);
        let mut found = Affine { x: Fe::ZERO, y: Fe::ZERO };
        // SAFETY: as in `read`.
        unsafe {
            _mm256_store_si256(found.x.0.as_mut_ptr().cast(), self.x.get());
            _mm256_store_si256(found.y.0.as_mut_ptr().cast(), self.y.get());
        }
        found
    }
}
