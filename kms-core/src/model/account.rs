//! The account and region that everything belongs to, and what the host has configured for them.

use std::fmt;

use super::texts;

texts! {
    /// Whether the account may use the service (OP-97).
    AccountStatus {
        /// It may.
        Enabled = "Enabled",
        /// The service was never opened; OpenKmsService opens it.
        NotEnabled = "NotEnabled",
        /// A payment is due; everything still works.
        InDebt = "InDebt",
        /// The service is stopped.
        Suspended = "Suspended",
    }
}

/// Quotas; `None` is no limit (OP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most keys of the account in the region.
    pub keys: Option<u64>,
    /// The most aliases of the account in the region.
    pub aliases: Option<u64>,
    /// The most versions that CreateKeyVersion makes in the account and region (OP-31).
    pub key_versions: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { keys: None, aliases: None, key_versions: 50 }
    }
}

/// What the host has decided for an engine. Constant while it is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// 16 digits.
    pub account: String,
    /// For example `cn-hangzhou`.
    pub region: String,
    /// What DescribeRegions lists.
    pub regions: Vec<String>,
    /// Whether keys of ProtectionLevel HSM can be created (OP-18).
    pub hsm: bool,
    /// Quotas.
    pub limits: Limits,
}

impl Settings {
    /// The regions of the contract's chapter 2, in its order.
    pub const REGIONS: [&'static str; 27] = [
        "ap-northeast-1",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ap-southeast-5",
        "ap-southeast-6",
        "ap-south-1",
        "cn-hangzhou",
        "cn-shanghai",
        "cn-qingdao",
        "cn-beijing",
        "cn-zhangjiakou",
        "cn-huhehaote",
        "cn-wulanchabu",
        "cn-shenzhen",
        "cn-heyuan",
        "cn-guangzhou",
        "cn-chengdu",
        "eu-central-1",
        "eu-west-1",
        "me-east-1",
        "cn-hongkong",
        "us-east-1",
        "us-west-1",
        "cn-hangzhou-finance",
        "cn-shanghai-finance-1",
        "cn-shenzhen-finance-1",
    ];

    /// The name of a resource of this account and region, for example of `key/<id>` or of `alias/<name>`.
    #[must_use]
    pub fn arn(&self, resource: impl fmt::Display) -> String {
        format!("acs:kms:{}:{}:{resource}", self.region, self.account)
    }

    /// The resource part of an ARN of this account and region. `None` for every other text.
    #[must_use]
    pub fn resource_of<'t>(&self, arn: &'t str) -> Option<&'t str> {
        arn.strip_prefix("acs:kms:")?
            .strip_prefix(self.region.as_str())?
            .strip_prefix(':')?
            .strip_prefix(self.account.as_str())?
            .strip_prefix(':')
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            account: "1000000000000000".to_owned(),
            region: "cn-hangzhou".to_owned(),
            regions: Self::REGIONS.map(str::to_owned).to_vec(),
            hsm: true,
            limits: Limits::default(),
        }
    }
}
