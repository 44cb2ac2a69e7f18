//! The actions of the KMS API: the one table in which their names stand.
//!
//! A row joins an action's name to its [`Operation`]. A row with `-` is an action of the contract that has not come yet
//! and answers `UnsupportedOperation`, as a name that is not in the table does (OP-09).

use zeroize::Zeroizing;

use crate::error::{ErrorCode, KmsError};
use crate::model::Settings;
use crate::op::{self, Ctx, Operation, Outcome};
use crate::params::Params;

/// What runs an action: its parameters in, the JSON text of its answer (without RequestId) and its changes out.
type Run = fn(&Params, &mut Ctx<'_>) -> Result<Outcome<Zeroizing<String>>, KmsError>;

macro_rules! actions {
    ($($name:ident => $operation:tt $(:: $path:ident)*;)*) => {
        /// An action of the contract.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Action { $(#[doc = concat!("`", stringify!($name), "`")] $name,)* }

        impl Action {
            /// All actions, in the contract's order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The action's name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The action with this name; upper and lower case differ.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }

            /// The operation behind the action; `None` for one that has not come yet.
            const fn row(self) -> Option<Row> {
                match self { $(Self::$name => actions!(@ $operation $(:: $path)*),)* }
            }
        }
    };
    (@ -) => { None };
    (@ $module:ident :: $operation:ident) => { Some(Row::of::<op::$module::$operation>()) };
}

#[derive(Clone, Copy)]
struct Row {
    run: Run,
    required: &'static [&'static str],
    any_account_status: bool,
    uses_keys_only: bool,
}

impl Row {
    const fn of<O: Operation>() -> Self {
        Self {
            run: run::<O>,
            required: O::REQUIRED,
            any_account_status: O::ANY_ACCOUNT_STATUS,
            uses_keys_only: O::USES_KEYS_ONLY,
        }
    }
}

/// Runs an operation through the steps of OP-10 that are the same for all.
fn run<O: Operation>(params: &Params, ctx: &mut Ctx<'_>) -> Result<Outcome<Zeroizing<String>>, KmsError> {
    for name in O::REQUIRED {
        params.require(name)?;
    }
    let settings: &Settings = ctx.settings;
    let request = O::parse(params, settings)?;
    let Outcome { reply, changes } = O::plan(request, ctx)?;
    Ok(Outcome { reply: op::render(&reply)?, changes })
}

impl Action {
    /// Whether the action has come.
    #[must_use]
    pub const fn stands(self) -> bool {
        self.row().is_some()
    }

    /// The parameters without which the action is refused; none for one that has not come yet.
    #[must_use]
    pub const fn required(self) -> &'static [&'static str] {
        match self.row() {
            Some(row) => row.required,
            None => &[],
        }
    }

    /// Whether the action answers in every account status.
    #[must_use]
    pub const fn any_account_status(self) -> bool {
        match self.row() {
            Some(row) => row.any_account_status,
            None => false,
        }
    }

    /// Whether the action writes nothing and reads single keys, versions and aliases only.
    #[must_use]
    pub const fn uses_keys_only(self) -> bool {
        match self.row() {
            Some(row) => row.uses_keys_only,
            None => false,
        }
    }

    /// Runs the action.
    ///
    /// # Errors
    /// Those that the contract lists for it; `UnsupportedOperation` for one that has not come yet.
    pub fn plan(self, params: &Params, ctx: &mut Ctx<'_>) -> Result<Outcome<Zeroizing<String>>, KmsError> {
        match self.row() {
            Some(row) => (row.run)(params, ctx),
            None => Err(ErrorCode::UnsupportedOperation.into()),
        }
    }
}

actions! {
    CreateKey => key::CreateKey;
    GetParametersForImport => import::GetParametersForImport;
    ImportKeyMaterial => import::ImportKeyMaterial;
    EnableKey => life::EnableKey;
    DisableKey => life::DisableKey;
    SetDeletionProtection => life::SetDeletionProtection;
    ScheduleKeyDeletion => life::ScheduleKeyDeletion;
    CancelKeyDeletion => life::CancelKeyDeletion;
    DeleteKeyMaterial => import::DeleteKeyMaterial;
    DescribeKey => key::DescribeKey;
    ListKeys => key::ListKeys;
    UpdateKeyDescription => key::UpdateKeyDescription;
    DescribeKeyVersion => version::DescribeKeyVersion;
    ListKeyVersions => version::ListKeyVersions;
    UpdateRotationPolicy => rotation::UpdateRotationPolicy;
    CreateKeyVersion => version::CreateKeyVersion;
    Encrypt => crypt::Encrypt;
    GenerateDataKey => datakey::GenerateDataKey;
    GenerateDataKeyWithoutPlaintext => datakey::GenerateDataKeyWithoutPlaintext;
    ExportDataKey => export::ExportDataKey;
    GenerateAndExportDataKey => export::GenerateAndExportDataKey;
    Decrypt => crypt::Decrypt;
    ReEncrypt => crypt::ReEncrypt;
    AsymmetricSign => asymmetric::AsymmetricSign;
    AsymmetricVerify => asymmetric::AsymmetricVerify;
    AsymmetricDecrypt => asymmetric::AsymmetricDecrypt;
    AsymmetricEncrypt => asymmetric::AsymmetricEncrypt;
    GetPublicKey => asymmetric::GetPublicKey;
    CreateAlias => alias::CreateAlias;
    UpdateAlias => alias::UpdateAlias;
    DeleteAlias => alias::DeleteAlias;
    ListAliases => alias::ListAliases;
    ListAliasesByKeyId => alias::ListAliasesByKeyId;
    CreateSecret => -;
    ListSecrets => -;
    DeleteSecret => -;
    DescribeSecret => -;
    GetSecretValue => -;
    PutSecretValue => -;
    UpdateSecret => -;
    UpdateSecretVersionStage => -;
    RestoreSecret => -;
    ListSecretVersionIds => -;
    GetRandomPassword => -;
    RotateSecret => -;
    UpdateSecretRotationPolicy => -;
    CreateCertificate => -;
    UploadCertificate => -;
    GetCertificate => -;
    DescribeCertificate => -;
    UpdateCertificateStatus => -;
    DeleteCertificate => -;
    CertificatePrivateKeySign => -;
    CertificatePublicKeyVerify => -;
    CertificatePublicKeyEncrypt => -;
    CertificatePrivateKeyDecrypt => -;
    TagResource => tag::TagResource;
    UntagResource => tag::UntagResource;
    ListResourceTags => tag::ListResourceTags;
    DescribeRegions => service::DescribeRegions;
    OpenKmsService => service::OpenKmsService;
    DescribeAccountKmsStatus => service::DescribeAccountKmsStatus;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract's file of actions, against the table: the same names in the same order, and for those that stand the
    /// parameters that it marks as required.
    #[test]
    fn the_table_is_the_contract() {
        let contract: serde_json::Value = serde_json::from_str(include_str!("../../contract/actions.json")).unwrap();
        let contract = contract.as_array().unwrap();
        assert_eq!(contract.len(), 62);
        assert_eq!(Action::ALL.len(), 62);
        for (action, row) in Action::ALL.iter().zip(contract) {
            assert_eq!(action.as_str(), row["action"]);
            assert_eq!(Action::parse(action.as_str()), Some(*action));
            if action.stands() {
                let required: Vec<_> = row["request"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .filter(|parameter| parameter["required"] == true)
                    .map(|parameter| parameter["name"].as_str().unwrap())
                    .collect();
                assert_eq!(action.required(), required, "{}", action.as_str());
            }
        }
    }
    /// Each has its name from there: a misspelt one would protect nothing.
    #[test]
    fn secrets_are_parameters_of_the_contract() {
        let contract: serde_json::Value = serde_json::from_str(include_str!("../../contract/actions.json")).unwrap();
        let asked: Vec<&str> = contract
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|row| row["request"].as_array().unwrap())
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        for secret in crate::params::SECRETS {
            assert!(asked.contains(&secret), "{secret}");
        }
    }
}
