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

/// Number of users, of `users`, whose slot is below `slot`. They have the ranks from 0 on.
pub fn ranks_below(slot: u32, users: u32) -> u32 {
    let whole = u64::from(SLOTS);
    ((2 * u64::from(users) * u64::from(slot) + whole - 1) / (2 * whole)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_separates_lower_ranks_from_higher_ones() {
        for users in [1, 2, 3, 7, 999, 333_333, 700_001, SLOTS] {
            for rank in (0..users).step_by(users as usize / 500 + 1) {
                let cut = user_cut(rank, users);
                assert!(slot_of_rank(rank, users) >= cut, "{rank} of {users}");
                assert!(rank == 0 || slot_of_rank(rank - 1, users) < cut);
            }
            assert_eq!((user_cut(0, users), user_cut(users, users)), (0, SLOTS));
            assert!(slot_of_rank(users - 1, users) < SLOTS);
        }
    }

    #[test]
    fn the_ranks_below_a_slot_are_those_with_lower_slots() {
        for users in [1, 2, 12, 999, 700_001, SLOTS] {
            assert_eq!(
                (ranks_below(0, users), ranks_below(SLOTS, users)),
                (0, users)
            );
            for slot in (0..SLOTS).step_by(997) {
                let below = ranks_below(slot, users);
                assert!(below == 0 || slot_of_rank(below - 1, users) < slot);
                assert!(below == users || slot_of_rank(below, users) >= slot);
            }
        }
    }
}
