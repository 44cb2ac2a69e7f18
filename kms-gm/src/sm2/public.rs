//! Public keys, and the tables of those that are used often.

use core::fmt;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::OnceLock;

use super::arithmetic::{Arithmetic, on_best};
use super::limbs::{self, Limbs, is_zero};
use super::point::{Affine, Jacobian};
use super::scalar::{self, N};
use super::table::Table;
use super::{NUMBER_LEN, POINT_LEN, SIGNATURE_LEN, product};

/// After so many uses a key gets a table. Making one costs what it saves in about fifteen.
const USES: u32 = 16;

/// Most tables there are at a time in a process, 148 KiB each. Keys that come later do without, until one of those goes.
pub const MAX_TABLES: usize = 64;

/// Tables there are.
static TABLES: AtomicUsize = AtomicUsize::new(0);

/// A public key: a point on the curve other than the one at infinity.
pub struct PublicKey {
    point: Affine,
    uses: AtomicU32,
    table: OnceLock<Table>,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.to_bytes()).finish()
    }
}

impl Drop for PublicKey {
    fn drop(&mut self) {
        if self.table.get().is_some() {
            TABLES.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl PublicKey {
    /// From X || Y. `None` for what is no point of the curve.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; POINT_LEN]) -> Option<Self> {
        Affine::from_bytes(bytes).map(Self::of_point)
    }

    pub(crate) fn of_point(point: Affine) -> Self {
        Self { point, uses: AtomicU32::new(0), table: OnceLock::new() }
    }

    /// X || Y.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; POINT_LEN] {
        self.point.to_bytes()
    }

    /// Whether r || s is a signature of the digest by this key (GB/T 32918.2-2016, section 7.1).
    #[must_use]
    pub fn verify(&self, digest: &[u8; NUMBER_LEN], signature: &[u8; SIGNATURE_LEN]) -> bool {
        let (r, s) = signature.split_at(NUMBER_LEN);
        let [r, s] = [r, s].map(|number| limbs::from_bytes(number.try_into().expect("half of a signature")));
        let t = N.add(&r, &s);
        let in_range = |number| N.contains(number) & !is_zero(number) != 0;
        if !(in_range(&r) && in_range(&s) && in_range(&t)) {
            return false;
        }
        // The x of s·G + t·P is r - e modulo n, for which there are two numbers below p at most.
        let x = N.sub(&r, &scalar::reduced(&limbs::from_bytes(digest)));
        let (next, carry) = limbs::add(&x, &N.m);
        on_best!(a => {
            let sum = self.sum(a, &s, &t);
            sum.has_x(a, &x) || (carry == 0 && sum.has_x(a, &next))
        })
    }

    /// s·G + t·P.
    fn sum<A: Arithmetic>(&self, a: A, s: &Limbs, t: &Limbs) -> Jacobian {
        let of_key = match self.table(a) {
            Some(table) => table.add_product(a, Jacobian::INFINITY, t),
            None => product::mul_public(a, &self.point, t),
        };
        Table::of_base(a).add_product(a, of_key, s)
    }

    /// k·P in constant time, for k from 1 to n - 1.
    pub(crate) fn mul<A: Arithmetic>(&self, a: A, k: &Limbs) -> Jacobian {
        match self.table(a) {
            Some(table) => table.mul(a, k),
            None => product::mul(a, &self.point, k),
        }
    }

    #[cfg(test)]
    pub(crate) fn has_table(&self) -> bool {
        self.table.get().is_some()
    }

    /// The table, once the key has been used often enough. Nobody waits for it: other threads do without meanwhile.
    fn table<A: Arithmetic>(&self, a: A) -> Option<&Table> {
        if let Some(table) = self.table.get() {
            return Some(table);
        }
        // Counted no further than it tells: whoever comes while the table is made does not write.
        if self.uses.load(Ordering::Relaxed) >= USES || self.uses.fetch_add(1, Ordering::Relaxed) + 1 != USES {
            return None;
        }
        let room = |tables| (tables < MAX_TABLES).then_some(tables + 1);
        if TABLES.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_err() {
            // Counted anew: by then another key's may have gone.
            self.uses.store(0, Ordering::Relaxed);
            return None;
        }
        // This thread alone came by as the last of the count.
        Some(self.table.get_or_init(|| Table::new(a, &self.point)))
    }
}
