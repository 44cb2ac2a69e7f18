//! What each action answers in each key state: the contract's state table, cell by cell.
//!
//! A row is one line of `contract/state-table.csv`: an action, with the key that is meant where an action touches two. Rows
//! of actions that come later stand here already. A row with a cell missing does not compile, and the test below holds the
//! table against the contract's file.

use crate::error::{ErrorCode, KmsError};
use crate::state::KeyState;

/// What the state of a key says to an action. Closed on purpose: the contract's table has these five words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The action may go on.
    Success,
    /// `Rejected.Disabled`.
    Disabled,
    /// `Rejected.PendingDeletion`.
    PendingDeletion,
    /// `Rejected.PendingImport`.
    PendingImport,
    /// `Rejected.StateModifiedFailed`.
    StateModifiedFailed,
}

impl Verdict {
    /// The error that stops the action, if one does.
    #[must_use]
    pub const fn error(self) -> Option<ErrorCode> {
        match self {
            Self::Success => None,
            Self::Disabled => Some(ErrorCode::KeyDisabled),
            Self::PendingDeletion => Some(ErrorCode::KeyPendingDeletion),
            Self::PendingImport => Some(ErrorCode::KeyPendingImport),
            Self::StateModifiedFailed => Some(ErrorCode::StateModifiedFailed),
        }
    }
}

macro_rules! gates {
    ($($gate:ident $row:literal => $e:ident, $d:ident, $pd:ident, $pi:ident;)*) => {
        /// A row of the state table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Gate { $(#[doc = concat!("`", $row, "`")] $gate,)* }

        impl Gate {
            /// All rows, in the contract's order.
            pub const ALL: &'static [Self] = &[$(Self::$gate,)*];

            /// The row's name in the contract.
            #[must_use]
            pub const fn row(self) -> &'static str {
                match self { $(Self::$gate => $row,)* }
            }

            /// The cell of this row for `state`.
            #[must_use]
            pub const fn verdict(self, state: KeyState) -> Verdict {
                match (self, state) {$(
                    (Self::$gate, KeyState::Enabled) => Verdict::$e,
                    (Self::$gate, KeyState::Disabled) => Verdict::$d,
                    (Self::$gate, KeyState::PendingDeletion) => Verdict::$pd,
                    (Self::$gate, KeyState::PendingImport) => Verdict::$pi,
                )*}
            }
        }
    };
}

#[rustfmt::skip]
gates! {
    //                                                                                Enabled              Disabled             PendingDeletion      PendingImport
    CreateKey                       "CreateKey"                                   => Success            , Success            , Success            , Success;
    GenerateDataKey                 "GenerateDataKey"                             => Success            , Disabled           , PendingDeletion    , PendingImport;
    GenerateDataKeyWithoutPlaintext "GenerateDataKeyWithoutPlaintext"             => Success            , Disabled           , PendingDeletion    , PendingImport;
    Encrypt                         "Encrypt"                                     => Success            , Disabled           , PendingDeletion    , PendingImport;
    Decrypt                         "Decrypt"                                     => Success            , Disabled           , PendingDeletion    , PendingImport;
    ListKeys                        "ListKeys"                                    => Success            , Success            , Success            , Success;
    DescribeKey                     "DescribeKey"                                 => Success            , Success            , Success            , Success;
    UpdateKeyDescription            "UpdateKeyDescription"                        => Success            , Success            , PendingDeletion    , Success;
    EnableKey                       "EnableKey"                                   => Success            , Success            , StateModifiedFailed, StateModifiedFailed;
    DisableKey                      "DisableKey"                                  => Success            , Success            , StateModifiedFailed, StateModifiedFailed;
    ScheduleKeyDeletion             "ScheduleKeyDeletion"                         => Success            , Success            , StateModifiedFailed, Success;
    CancelKeyDeletion               "CancelKeyDeletion"                           => StateModifiedFailed, StateModifiedFailed, Success            , StateModifiedFailed;
    CreateAlias                     "CreateAlias"                                 => Success            , Success            , StateModifiedFailed, Success;
    DeleteAlias                     "DeleteAlias"                                 => Success            , Success            , Success            , Success;
    ListAliases                     "ListAliases"                                 => Success            , Success            , Success            , Success;
    TagResource                     "TagResource"                                 => Success            , Success            , PendingDeletion    , Success;
    UntagResource                   "UntagResource"                               => Success            , Success            , PendingDeletion    , Success;
    ListResourceTags                "ListResourceTags"                            => Success            , Success            , Success            , Success;
    DescribeKeyVersion              "DescribeKeyVersion"                          => Success            , Success            , Success            , Success;
    ListKeyVersions                 "ListKeyVersions"                             => Success            , Success            , Success            , Success;
    UpdateRotationPolicy            "UpdateRotationPolicy"                        => Success            , Disabled           , PendingDeletion    , PendingImport;
    UpdateAliasTarget               "UpdateAlias:target-key"                      => Success            , Success            , PendingDeletion    , Success;
    UpdateAliasBound                "UpdateAlias:currently-bound-key"             => Success            , Success            , Success            , Success;
    GetParametersForImport          "GetParametersForImport (EXTERNAL keys only)" => Success            , Success            , Success            , Success;
    ImportKeyMaterial               "ImportKeyMaterial (EXTERNAL keys only)"      => Success            , Success            , StateModifiedFailed, Success;
    DeleteKeyMaterial               "DeleteKeyMaterial (EXTERNAL keys only)"      => Success            , Success            , Success            , Success;
    GenerateAndExportDataKey        "GenerateAndExportDataKey"                    => Success            , Disabled           , PendingDeletion    , PendingImport;
    ExportDataKey                   "ExportDataKey:key-of-CiphertextBlob"         => Success            , Disabled           , PendingDeletion    , PendingImport;
    ReEncryptSource                 "ReEncrypt:source-key"                        => Success            , Disabled           , PendingDeletion    , PendingImport;
    ReEncryptDestination            "ReEncrypt:destination-key"                   => Success            , Disabled           , PendingDeletion    , PendingImport;
    AsymmetricSign                  "AsymmetricSign"                              => Success            , Disabled           , PendingDeletion    , PendingImport;
    AsymmetricVerify                "AsymmetricVerify"                            => Success            , Disabled           , PendingDeletion    , PendingImport;
    AsymmetricEncrypt               "AsymmetricEncrypt"                           => Success            , Disabled           , PendingDeletion    , PendingImport;
    AsymmetricDecrypt               "AsymmetricDecrypt"                           => Success            , Disabled           , PendingDeletion    , PendingImport;
    GetPublicKey                    "GetPublicKey"                                => Success            , Disabled           , PendingDeletion    , PendingImport;
    CreateKeyVersion                "CreateKeyVersion"                            => Success            , Disabled           , PendingDeletion    , PendingImport;
    SetDeletionProtection           "SetDeletionProtection"                       => Success            , Success            , PendingDeletion    , Success;
    ScheduleKeyDeletionProtected    "ScheduleKeyDeletion:deletion-protection-on"  => StateModifiedFailed, StateModifiedFailed, StateModifiedFailed, StateModifiedFailed;
    ListAliasesByKeyId              "ListAliasesByKeyId"                          => Success            , Success            , Success            , Success;
    CreateSecret                    "CreateSecret:EncryptionKeyId"                => Success            , Disabled           , PendingDeletion    , PendingImport;
    PutSecretValue                  "PutSecretValue:EncryptionKeyId"              => Success            , Disabled           , PendingDeletion    , PendingImport;
    GetSecretValue                  "GetSecretValue:EncryptionKeyId"              => Success            , Disabled           , PendingDeletion    , PendingImport;
    RotateSecret                    "RotateSecret:EncryptionKeyId"                => Success            , Disabled           , PendingDeletion    , PendingImport;
    ListSecrets                     "ListSecrets:EncryptionKeyId"                 => Success            , Success            , Success            , Success;
    DescribeSecret                  "DescribeSecret:EncryptionKeyId"              => Success            , Success            , Success            , Success;
    DeleteSecret                    "DeleteSecret:EncryptionKeyId"                => Success            , Success            , Success            , Success;
    RestoreSecret                   "RestoreSecret:EncryptionKeyId"               => Success            , Success            , Success            , Success;
    UpdateSecret                    "UpdateSecret:EncryptionKeyId"                => Success            , Success            , Success            , Success;
    UpdateSecretVersionStage        "UpdateSecretVersionStage:EncryptionKeyId"    => Success            , Success            , Success            , Success;
    ListSecretVersionIds            "ListSecretVersionIds:EncryptionKeyId"        => Success            , Success            , Success            , Success;
    UpdateSecretRotationPolicy      "UpdateSecretRotationPolicy:EncryptionKeyId"  => Success            , Success            , Success            , Success;
}

impl Gate {
    /// Lets an action pass, or stops it with the error of the table.
    ///
    /// # Errors
    /// The row's code for `state`.
    pub fn check(self, state: KeyState) -> Result<(), KmsError> {
        match self.verdict(state).error() {
            None => Ok(()),
            Some(code) => Err(code.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every row and cell of the contract's file stands in the table, in the same order, and no other row does.
    #[test]
    fn the_table_is_the_contract() {
        let mut lines = include_str!("../../contract/state-table.csv").lines();
        assert_eq!(lines.next(), Some("api,Enabled,Disabled,PendingDeletion,PendingImport,source"));
        let mut rows = Gate::ALL.iter();
        for line in lines {
            let cells: Vec<&str> = line.split(',').collect();
            let gate = rows.next().expect("a row for each line of the contract");
            assert_eq!(gate.row(), cells[0]);
            for (state, cell) in KeyState::ALL.into_iter().zip(&cells[1..5]) {
                let ours = gate.verdict(state).error().map_or("Success", ErrorCode::as_str);
                assert_eq!(ours, *cell, "{} in {state}", gate.row());
            }
        }
        assert_eq!(rows.next(), None);
    }
}
