//! Sums of many public points, in a time that depends on them.
//!
//! Two points in affine coordinates are added by one division. Many pairs share the inversion for theirs (Montgomery's trick), so
//! that an addition takes six products, and not the ten of one to a sum.

use super::table::WINDOWS;
use super::{Affine, Arithmetic, Curve, Fe, Xyzz};

/// Points of two tables.
const MOST: usize = 2 * WINDOWS;

/// From so many pairs on the inversion costs less than they save: it takes as long as some eighty products.
const ENOUGH: usize = 20;

/// Points to be added.
pub(crate) struct Summands<C> {
    points: [Affine<C>; MOST],
    count: usize,
}

impl<C: Curve> Summands<C> {
    pub(crate) fn new() -> Self {
        Self { points: [Affine { x: Fe::ZERO, y: Fe::ZERO }; MOST], count: 0 }
    }

    /// One more point; no more of them than two products by tables have.
    pub(crate) fn push(&mut self, point: Affine<C>) {
        self.points[self.count] = point;
        self.count += 1;
    }

    /// `sum` and all points. They may be equal or opposite, and `sum` at infinity.
    pub(crate) fn add_to<A: Arithmetic>(mut self, a: A, mut sum: Xyzz<C>) -> Xyzz<C> {
        while self.count / 2 >= ENOUGH {
            sum = self.add_pairs(a, sum);
        }
        self.points[..self.count].iter().fold(sum, |sum, point| sum.add_public(a, point))
    }

    /// Puts sums of two in the place of the points. What cannot be added like that is added to `sum`.
    fn add_pairs<A: Arithmetic>(&mut self, a: A, mut sum: Xyzz<C>) -> Xyzz<C> {
        // The difference of each pair's x, and the product of those before it.
        let mut differences = [(Fe::ZERO, Fe::ZERO); MOST / 2];
        let (mut pairs, mut product) = (0, Fe::ONE);
        for i in 0..self.count / 2 {
            let (p, q) = (self.points[2 * i], self.points[2 * i + 1]);
            let difference = q.x.sub(&p.x);
            if difference.is_zero() != 0 {
                sum = sum.add_public(a, &p).add_public(a, &q);
                continue;
            }
            (self.points[2 * pairs], self.points[2 * pairs + 1]) = (p, q);
            differences[pairs] = (difference, product);
            product = a.mul(&product, &difference);
            pairs += 1;
        }
        let odd = (self.count % 2 == 1).then(|| self.points[self.count - 1]);
        let mut inverse = product.invert_public();
        for (i, (difference, before)) in differences[..pairs].iter().enumerate().rev() {
            let (p, q) = (self.points[2 * i], self.points[2 * i + 1]);
            let slope = a.mul(&q.y.sub(&p.y), &a.mul(&inverse, before));
            inverse = a.mul(&inverse, difference);
            let x = a.square(&slope).sub(&p.x).sub(&q.x);
            let y = a.mul(&slope, &p.x.sub(&x)).sub(&p.y);
            self.points[2 * i] = Affine { x, y };
        }
        for i in 0..pairs {
            self.points[i] = self.points[2 * i];
        }
        self.count = pairs;
        odd.into_iter().for_each(|point| self.push(point));
        sum
    }
}
