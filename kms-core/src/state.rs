//! The life of a key: its states, what moves it between them, and nothing else.
//!
//! ```text
//!             create                      create with Origin EXTERNAL
//!               |                                   |
//!               v        import                     v
//!   .------> Enabled <------------------------ PendingImport <---.
//!   |         |  ^ \___________________________^  |              |
//!   | disable v  | enable     lose material       |              |
//!   |        Disabled ____________________________^  schedule    | cancel,
//!   |           \   lose material                 |              | no material
//!   | cancel     \ schedule                       v              |
//!   '------------ '-----------------------> PendingDeletion -----'
//!                                                 |
//!                                                 v DeleteDate reached
//!                                               gone
//! ```
//!
//! Which *action* may be called in which state, and with which error otherwise, is the other table: [`crate::gate`].

use std::fmt;

/// The state of a key (contract, chapter 1). Closed on purpose: a fifth state would change every table below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// The only state in which the key does cryptography.
    Enabled,
    /// Switched off by its owner, at once and until switched on again.
    Disabled,
    /// Destroyed when its `DeleteDate` comes, unless that is cancelled before.
    PendingDeletion,
    /// An EXTERNAL key without material.
    PendingImport,
}

impl KeyState {
    /// All states, in the order of the contract's table.
    pub const ALL: [Self; 4] = [Self::Enabled, Self::Disabled, Self::PendingDeletion, Self::PendingImport];

    /// The contract's name of the state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
            Self::PendingDeletion => "PendingDeletion",
            Self::PendingImport => "PendingImport",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an event makes of a key. Closed on purpose, like [`KeyState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The key is in this state now; it may be the one it was in.
    State(KeyState),
    /// The key exists no longer.
    Gone,
    /// The event cannot happen in this state, and changes nothing.
    Refused,
}

macro_rules! transitions {
    ($($(#[$doc:meta])* $event:ident => $e:ident, $d:ident, $pd:ident, $pi:ident;)*) => {
        /// What can happen to a key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Event { $($(#[$doc])* $event,)* }

        impl Event {
            /// All events, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$event,)*];

            /// What the event makes of a key in `state`.
            #[must_use]
            pub const fn on(self, state: KeyState) -> Next {
                match (self, state) {$(
                    (Self::$event, KeyState::Enabled) => transitions!(@ $e),
                    (Self::$event, KeyState::Disabled) => transitions!(@ $d),
                    (Self::$event, KeyState::PendingDeletion) => transitions!(@ $pd),
                    (Self::$event, KeyState::PendingImport) => transitions!(@ $pi),
                )*}
            }
        }
    };
    (@ Gone) => { Next::Gone };
    (@ Refused) => { Next::Refused };
    (@ $state:ident) => { Next::State(KeyState::$state) };
}

transitions! {
    //                          in: Enabled,         Disabled,        PendingDeletion, PendingImport
    /// EnableKey.
    Enable                      => Enabled,         Enabled,         Refused,         Refused;
    /// DisableKey.
    Disable                     => Disabled,        Disabled,        Refused,         Refused;
    /// ScheduleKeyDeletion.
    ScheduleDeletion            => PendingDeletion, PendingDeletion, Refused,         PendingDeletion;
    /// CancelKeyDeletion of a key that has material: Enabled, whatever it was before (OP-23).
    CancelDeletion              => Refused,         Refused,         Enabled,         Refused;
    /// CancelKeyDeletion of an EXTERNAL key without material (OP-23).
    CancelDeletionNoMaterial    => Refused,         Refused,         PendingImport,   Refused;
    /// ImportKeyMaterial: a Disabled key is not silently enabled (OP-20).
    ImportMaterial              => Enabled,         Disabled,        Refused,         Enabled;
    /// DeleteKeyMaterial, or the material expires.
    LoseMaterial                => PendingImport,   PendingImport,   PendingDeletion, PendingImport;
    /// DeleteDate reached.
    Destroy                     => Refused,         Refused,         Gone,            Refused;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{Gate, Verdict};

    /// The diagram of the contract's chapter 1, arrow by arrow; every pair that it does not draw stays where it is or
    /// is refused.
    #[test]
    fn the_arrows_are_those_of_the_contract() {
        use Event::*;
        use KeyState::*;
        let arrows = [
            (Disable, Enabled, Disabled),
            (Enable, Disabled, Enabled),
            (ImportMaterial, PendingImport, Enabled),
            (LoseMaterial, Enabled, PendingImport),
            (LoseMaterial, Disabled, PendingImport),
            (ScheduleDeletion, Enabled, PendingDeletion),
            (ScheduleDeletion, Disabled, PendingDeletion),
            (ScheduleDeletion, PendingImport, PendingDeletion),
            (CancelDeletion, PendingDeletion, Enabled),
            (CancelDeletionNoMaterial, PendingDeletion, PendingImport),
        ];
        for &event in Event::ALL {
            for state in KeyState::ALL {
                let drawn = arrows.iter().find(|(e, from, _)| (*e, *from) == (event, state));
                match (event.on(state), drawn) {
                    (Next::State(next), Some((_, _, to))) => assert_eq!(next, *to, "{event:?} in {state}"),
                    (Next::State(next), None) => assert_eq!(next, state, "{event:?} in {state}"),
                    (Next::Gone, None) => assert_eq!((event, state), (Destroy, PendingDeletion)),
                    (Next::Refused, None) => {}
                    (next, Some(_)) => panic!("{event:?} in {state} gives {next:?}"),
                }
            }
        }
    }

    /// The two tables agree: an action's gate is open exactly where its event leads somewhere.
    #[test]
    fn a_gate_is_open_where_its_event_leads_somewhere() {
        for (event, gate) in [
            (Event::Enable, Gate::EnableKey),
            (Event::Disable, Gate::DisableKey),
            (Event::ScheduleDeletion, Gate::ScheduleKeyDeletion),
            (Event::CancelDeletion, Gate::CancelKeyDeletion),
            (Event::CancelDeletionNoMaterial, Gate::CancelKeyDeletion),
            (Event::ImportMaterial, Gate::ImportKeyMaterial),
            (Event::LoseMaterial, Gate::DeleteKeyMaterial),
        ] {
            for state in KeyState::ALL {
                let open = gate.verdict(state) == Verdict::Success;
                assert_eq!(event.on(state) != Next::Refused, open, "{event:?} in {state}");
            }
        }
    }
}
