//! The slots of virtual users: `n` users divide the slots into `n` nearly equal parts, in the order
//! of their ranks.

use crate::SLOTS;

/// Slot that decides who runs the user of rank `rank` of `users`.
pub fn slot_of_rank(rank: u32, users: u32) -> u32 {
    let users = u64::from(users.max(1));
    ((2 * u64::from(rank) + 1) * u64::from(SLOTS) / (2 * users)) as u32
}

/// First slot of the part of the user of rank `rank`: separates lower ranks from this and higher
/// ones. The number of slots for `rank == users`.
pub fn user_cut(rank: u32, users: u32) -> u32 {
    match rank {
        0 => 0,
        _ if rank >= users => SLOTS,
        _ => slot_of_rank(rank, users),
    }
}
