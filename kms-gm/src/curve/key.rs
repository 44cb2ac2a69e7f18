//! Points of public keys, and the tables of those that are used often.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::OnceLock;

use super::limbs::Limbs;
use super::sum::Summands;
use super::{Affine, Arithmetic, Curve, Jacobian, Table, Xyzz, product};

/// After so many uses a key gets a table. Making one costs what it saves in about fifteen.
const USES: u32 = 16;

/// Most tables of public keys there are at a time in a process, 148 KiB each, whatever their curves. Keys that come later do
/// without, until one of those goes.
pub const MAX_TABLES: usize = 64;

/// Tables there are.
static TABLES: AtomicUsize = AtomicUsize::new(0);

/// The point of a public key.
pub(crate) struct KeyPoint<C: Curve> {
    point: Affine<C>,
    uses: AtomicU32,
    table: OnceLock<Table<C>>,
}

impl<C: Curve> From<Affine<C>> for KeyPoint<C> {
    fn from(point: Affine<C>) -> Self {
        Self { point, uses: AtomicU32::new(0), table: OnceLock::new() }
    }
}

impl<C: Curve> Drop for KeyPoint<C> {
    fn drop(&mut self) {
        if self.table.get().is_some() {
            TABLES.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<C: Curve> KeyPoint<C> {
    pub(crate) const fn point(&self) -> &Affine<C> {
        &self.point
    }

    /// u·G + v·P for public numbers below n.
    pub(crate) fn sum<A: Arithmetic>(&self, a: A, u: &Limbs, v: &Limbs) -> Xyzz<C> {
        let mut summands = Summands::new();
        Table::of_base(a).summands(u, &mut summands);
        let sum = match self.table(a) {
            Some(table) => {
                table.summands(v, &mut summands);
                Xyzz::INFINITY
            }
            None => Xyzz::from_jacobian(a, &product::mul_public(a, &self.point, v)),
        };
        summands.add_to(a, sum)
    }

    /// k·P in constant time, for k from 1 to n - 1.
    pub(crate) fn mul<A: Arithmetic>(&self, a: A, k: &Limbs) -> Jacobian<C> {
        match self.table(a) {
            Some(table) => table.mul(a, k).to_jacobian(a),
            None => product::mul(a, &self.point, k),
        }
    }

    #[cfg(test)]
    pub(crate) fn has_table(&self) -> bool {
        self.table.get().is_some()
    }

    /// Uses the key until it has a table, which takes a while if those of other tests fill the room.
    #[cfg(test)]
    pub(crate) fn make_table(&self) {
        while self.table(super::Portable).is_none() {
            std::thread::yield_now();
        }
    }

    /// The table, once the key has been used often enough. Nobody waits for it: other threads do without meanwhile.
    fn table<A: Arithmetic>(&self, a: A) -> Option<&Table<C>> {
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
