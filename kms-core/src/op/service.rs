//! The service itself: its regions, and whether the account has opened it.

use serde::Serialize;

use super::{Ctx, Nothing, Operation, Outcome, Step};
use crate::Change;
use crate::error::{ErrorCode, KmsError};
use crate::model::{AccountStatus, Settings};
use crate::params::Params;

/// What an account may do in its status (OP-97).
///
/// # Errors
/// `Forbidden.KmsServiceNotEnabled` and `Forbidden.InDebtOverdue`.
pub fn check_account(status: AccountStatus) -> Result<(), KmsError> {
    match status {
        AccountStatus::Enabled | AccountStatus::InDebt => Ok(()),
        AccountStatus::NotEnabled => Err(ErrorCode::KmsServiceNotEnabled.into()),
        AccountStatus::Suspended => Err(ErrorCode::InDebtOverdue.into()),
    }
}

/// DescribeRegions.
#[derive(Debug)]
pub struct DescribeRegions;

/// The answer of DescribeRegions.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeRegionsReply {
    regions: RegionList,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RegionList {
    region: Vec<Region>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Region {
    region_id: String,
}

impl Operation for DescribeRegions {
    const REQUIRED: &'static [&'static str] = &[];
    const ANY_ACCOUNT_STATUS: bool = true;
    type Request<'p> = ();
    type Reply = DescribeRegionsReply;

    fn parse(_: &Params, _: &Settings) -> Result<(), KmsError> {
        Ok(())
    }

    fn plan((): (), ctx: &mut Ctx<'_>) -> Result<Outcome<DescribeRegionsReply>, KmsError> {
        let region = ctx.settings.regions.iter().map(|id| Region { region_id: id.clone() }).collect();
        Ok(Outcome::read(DescribeRegionsReply { regions: RegionList { region } }))
    }
}

/// OpenKmsService.
#[derive(Debug)]
pub struct OpenKmsService;

impl Operation for OpenKmsService {
    const REQUIRED: &'static [&'static str] = &[];
    const ANY_ACCOUNT_STATUS: bool = true;
    type Request<'p> = ();
    type Reply = Nothing;

    fn parse(_: &Params, _: &Settings) -> Result<(), KmsError> {
        Ok(())
    }

    fn plan((): (), ctx: &mut Ctx<'_>) -> Result<Outcome<Nothing>, KmsError> {
        ctx.reach(Step::Operation);
        match ctx.view.account_status()? {
            AccountStatus::NotEnabled => {
                Ok(Outcome { reply: Nothing {}, changes: vec![Change::PutAccountStatus(AccountStatus::Enabled)] })
            }
            AccountStatus::Enabled | AccountStatus::InDebt | AccountStatus::Suspended => {
                Err(ErrorCode::AlreadyOpened.into())
            }
        }
    }
}

/// DescribeAccountKmsStatus.
#[derive(Debug)]
pub struct DescribeAccountKmsStatus;

/// The answer of DescribeAccountKmsStatus.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccountStatusReply {
    account_status: AccountStatus,
}

impl Operation for DescribeAccountKmsStatus {
    const REQUIRED: &'static [&'static str] = &[];
    const ANY_ACCOUNT_STATUS: bool = true;
    type Request<'p> = ();
    type Reply = AccountStatusReply;

    fn parse(_: &Params, _: &Settings) -> Result<(), KmsError> {
        Ok(())
    }

    fn plan((): (), ctx: &mut Ctx<'_>) -> Result<Outcome<AccountStatusReply>, KmsError> {
        Ok(Outcome::read(AccountStatusReply { account_status: ctx.view.account_status()? }))
    }
}
