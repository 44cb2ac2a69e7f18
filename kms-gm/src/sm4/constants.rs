//! The constants of SM4's key schedule (GB/T 32907, section 7.3).

/// The system parameters FK, as they stand in memory.
pub(crate) const SYSTEM: [u8; 16] =
    [0xa3, 0xb1, 0xba, 0xc6, 0x56, 0xaa, 0x33, 0x50, 0x67, 0x7d, 0x91, 0x97, 0xb2, 0x70, 0x22, 0xdc];

/// Rounds, and so round keys.
pub(crate) const ROUNDS: usize = 32;

/// The fixed parameters CK, as they stand in memory: multiples of seven modulo 256.
pub(crate) const FIXED: [[u8; 4]; ROUNDS] = {
    let (mut fixed, mut i) = ([[0; 4]; ROUNDS], 0);
    while i < 4 * ROUNDS {
        fixed[i / 4][i % 4] = (7 * i) as u8;
        i += 1;
    }
    fixed
};
