//! Linear maps of bytes over GF(2), and the SM4 S-box taken apart into such maps and one inversion.
//!
//! The S-box of SM4 is S(x) = A·(A·x + 0xd3)⁻¹ + 0xd3, where A is a circulant matrix and the inverse (of
//! zero: zero) is taken in GF(2)\[z\]/(z^8 + z^7 + z^6 + z^5 + z^4 + z^2 + 1). GB/T 32907 prints the table
//! alone; a test compares all 256 entries. All fields of 256 elements are isomorphic, so the inversion may
//! be done in the field of AES, where there is an instruction for it, or in a tower of small fields.
//!
//! Everything here is evaluated at compile time and on public constants.

/// A linear map: the images of the bits 0 to 7.
pub(crate) type Map = [u8; 8];

/// Polynomials with 256 residues: those of SM4 and of AES (FIPS 197, section 4.2).
const SM4_POLYNOMIAL: u16 = 0x1f5;
const AES_POLYNOMIAL: u16 = 0x11b;

/// The constant that the S-box of SM4 adds before and after the inversion.
pub(crate) const SM4_CONSTANT: u8 = 0xd3;

/// The matrix that the S-box of SM4 applies before and after the inversion.
pub(crate) const SM4_MATRIX: Map = circulant(0xa7);

/// The same of AES, after the inversion alone (FIPS 197, section 5.1.1).
#[cfg(target_arch = "x86_64")]
pub(crate) const AES_MATRIX: Map = circulant(0xf1);
#[cfg(target_arch = "x86_64")]
pub(crate) const AES_CONSTANT: u8 = 0x63;

/// From the field of SM4 to that of AES.
#[cfg(target_arch = "x86_64")]
pub(crate) const SM4_TO_AES: Map = isomorphism(Field::Residues(AES_POLYNOMIAL));

/// From the field of SM4 to the tower of [`tower_multiply`].
pub(crate) const SM4_TO_TOWER: Map = isomorphism(Field::Tower);

/// λ of the tower's uppermost field y² + y + λ, with coefficients of 16 elements each.
pub(crate) const TOWER_LAMBDA: u8 = 0b1000;

/// The image of a byte.
pub(crate) const fn apply(map: &Map, byte: u8) -> u8 {
    let (mut image, mut i) = (0, 0);
    while i < 8 {
        if byte >> i & 1 == 1 {
            image ^= map[i];
        }
        i += 1;
    }
    image
}

/// First `first`, then `then`.
pub(crate) const fn compose(then: &Map, first: &Map) -> Map {
    let (mut map, mut i) = ([0; 8], 0);
    while i < 8 {
        map[i] = apply(then, first[i]);
        i += 1;
    }
    map
}

/// The sum of two maps.
pub(crate) const fn sum(a: &Map, b: &Map) -> Map {
    let (mut map, mut i) = ([0; 8], 0);
    while i < 8 {
        map[i] = a[i] ^ b[i];
        i += 1;
    }
    map
}

/// The map that undoes `map`, which is one to one.
pub(crate) const fn inverse(map: &Map) -> Map {
    let (mut inverse, mut byte) = ([0; 8], 0u8);
    loop {
        let image = apply(map, byte);
        if image.is_power_of_two() {
            inverse[image.trailing_zeros() as usize] = byte;
        }
        if byte == u8::MAX {
            return inverse;
        }
        byte += 1;
    }
}

/// Shifts to higher bits (positive) or lower ones, losing what leaves the byte.
pub(crate) const fn shift(by: i32) -> Map {
    let (mut map, mut i) = ([0; 8], 0);
    while i < 8 {
        map[i] = if by >= 0 { (1u8 << i) << by } else { (1u8 << i) >> -by };
        i += 1;
    }
    map
}

/// Bit i of the image is the parity of the byte and `row` rotated left by i.
const fn circulant(row: u8) -> Map {
    let (mut map, mut i) = ([0; 8], 0);
    while i < 8 {
        let mut j = 0;
        while j < 8 {
            map[j] |= (row.rotate_left(i) >> j & 1) << i;
            j += 1;
        }
        i += 1;
    }
    map
}

/// A field of 256 elements.
#[derive(Clone, Copy)]
enum Field {
    /// Polynomials modulo one of degree eight.
    Residues(u16),
    /// Pairs of pairs of pairs of bits.
    Tower,
}

const fn multiply(field: Field, a: u8, b: u8) -> u8 {
    match field {
        Field::Residues(polynomial) => {
            let (mut product, mut a, mut i) = (0, a as u16, 0);
            while i < 8 {
                if b >> i & 1 == 1 {
                    product ^= a;
                }
                a <<= 1;
                if a & 0x100 != 0 {
                    a ^= polynomial;
                }
                i += 1;
            }
            product as u8
        }
        Field::Tower => tower_multiply(a, b, 4),
    }
}

/// The product of two elements of 2·`half` bits, low coefficient in the low bits.
///
/// GF(4) is w² + w + 1 over bits, GF(16) is x² + x + w over GF(4), GF(256) is y² + y + λ over GF(16).
const fn tower_multiply(a: u8, b: u8, half: u32) -> u8 {
    if half == 0 {
        return a & b;
    }
    let (low, high) = ((1 << half) - 1, half / 2);
    let (a0, a1, b0, b1) = (a & low, a >> half, b & low, b >> half);
    let constant = match half {
        1 => 1,
        2 => 0b10,
        _ => TOWER_LAMBDA,
    };
    let (low, top) = (tower_multiply(a0, b0, high), tower_multiply(a1, b1, high));
    let both = tower_multiply(a0 ^ a1, b0 ^ b1, high);
    (both ^ low) << half | low ^ tower_multiply(top, constant, high)
}

/// An isomorphism from the field of SM4: it takes z to a root of SM4's polynomial.
const fn isomorphism(to: Field) -> Map {
    let mut root = 2;
    loop {
        let (mut map, mut power, mut i, mut value) = ([0; 8], 1, 0, 0);
        while i < 9 {
            if i < 8 {
                map[i] = power;
            }
            if SM4_POLYNOMIAL >> i & 1 == 1 {
                value ^= power;
            }
            power = multiply(to, power, root);
            i += 1;
        }
        if value == 0 {
            return map;
        }
        root += 1;
    }
}
