//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kms_engine::Config;
use serde_json::json;

/// A key-management engine of your own, with the model of Alibaba Cloud KMS.
#[derive(Parser)]
#[command(name = "kms", version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Arguments {
    /// The folder of the KMS: its configuration, root key and store
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "DIR", env = "KMS_HOME", default_value = "kms-home")]
    pub(crate) home: PathBuf,
    /// Reads the passphrase from this file ("-": standard input) instead of asking for it
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE", env = "KMS_PASSPHRASE_FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What is the same everywhere stands behind what a command is asked for.
const GLOBAL: &str = "Options of every command";

const AFTER_HELP: &str = "\
A KMS to try, gone when it ends:
  kms serve --dev

One that stays:
  kms init
  kms access-key create
  kms serve

Exit status: 0 done; 1 the KMS refused; 2 the command line makes no sense; 3 the KMS could not be asked.";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Makes a KMS in the home folder
    #[command(after_help = INIT_HELP)]
    Init(InitOptions),
    /// Serves the KMS over HTTP and HTTPS, to the SDKs of Alibaba Cloud
    #[command(after_help = SERVE_HELP)]
    Serve(Box<ServeOptions>),
    /// Makes, lists, disables and deletes the AccessKeys that clients sign their requests with
    #[command(subcommand, after_help = ACCESS_KEY_HELP)]
    AccessKey(AccessKeyCommand),
    /// Calls an action
    #[command(after_help = CALL_HELP)]
    Call {
        /// The action, for example CreateKey; "kms actions" lists them
        action: String,
        /// NAME=VALUE, or NAME@FILE for a value that is in a file (NAME@-: from standard input; a terminal is asked)
        #[arg(value_name = "PARAMETER")]
        parameters: Vec<String>,
        /// How the answer is printed
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Does what is due: rotates keys, and destroys keys and imported material whose time has come
    RunDue {
        /// How the report is printed
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Lists the actions
    Actions,
    /// Tries every kind of key in memory: that it works, and that it notices what was tampered with
    SelfTest,
}

const CALL_HELP: &str = "\
Examples:
  kms call CreateKey KeySpec=EC_P256 KeyUsage=SIGN/VERIFY
  kms call Encrypt KeyId=alias/app Plaintext@secret.txt EncryptionContext='{\"tenant\":\"42\"}'
  kms call ListKeys PageSize=100 --output table

Parameters are those of the API. Secrets (Plaintext, SecretData) are taken as NAME@FILE and
NAME@- only: other users of the machine see command lines. Of a file's end one line break is
left out. A terminal is asked for one line, which it does not show; what has more lines, or a
tab, goes into a file.";

const INIT_HELP: &str = "\
Examples:
  kms init
  kms --home /var/lib/kms init --account-id 1234567890123456 --region eu-central-1

With a passphrase in the place of a key file, nothing in the folder opens the store. Every
command asks for it, or reads it from a file that you alone can read:
  kms init --root-key passphrase
  kms --passphrase-file /run/secrets/kms call ListKeys

The account and the region are in the name of every key (its Arn), and stay as they are.";

const SERVE_HELP: &str = "\
To try something, with nothing kept:
  kms serve --dev

To clients on other machines, which know this one as kms.example.org and are given the file
ca.pem that it names:
  kms --home /var/lib/kms serve --https 0.0.0.0:8443 --tls-name kms.example.org

With a certificate of your own, and plain HTTP for programs on this machine:
  kms serve --https 0.0.0.0:8443 --tls-cert chain.pem --tls-key key.pem --http 127.0.0.1:8080

Where the store has a passphrase and nobody sits at a terminal:
  kms --passphrase-file /run/secrets/kms serve

It has begun when it says \"Ready.\". Ctrl-C or SIGTERM ends it, once the calls under way are
done.";

const ACCESS_KEY_HELP: &str = "\
One for each client, so that each can be taken back by itself:
  kms access-key create --comment billing
  kms access-key list

In the place of an old one, without a pause: make another, give it to the client, and refuse the
old one when it is used no more. If something still needed it, \"enable\" is the way back;
\"delete\" has none:
  kms access-key create --comment billing-2
  kms access-key disable LKMS0123456789abcdefghij
  kms access-key delete LKMS0123456789abcdefghij

All this works while the KMS is served, and holds from the next request on: one that has leaked
is disabled at once.";

#[derive(Clone, Copy, Default, ValueEnum)]
pub(crate) enum Output {
    /// The JSON text of the API
    #[default]
    Json,
    /// Lines and columns for people
    Table,
}

#[derive(Args)]
pub(crate) struct InitOptions {
    /// What the store is sealed with: a key file in the home folder, or a passphrase that every command then asks for
    #[arg(long, value_enum, default_value_t)]
    pub(crate) root_key: RootKeyKind,
    /// The account that everything belongs to, 16 digits
    #[arg(long, value_name = "ID", default_value = "1000000000000000", value_parser = account_id)]
    pub(crate) account_id: String,
    /// The region that everything is in
    #[arg(long, default_value = "cn-hangzhou", value_parser = region)]
    pub(crate) region: String,
}

fn account_id(text: &str) -> Result<String, String> {
    fits("account_id", text)
}

fn region(text: &str) -> Result<String, String> {
    fits("region", text)
}

/// Whether an engine takes this for a member of its configuration.
fn fits(member: &str, text: &str) -> Result<String, String> {
    let config = Config::parse(&json!({ "store": "memory:", member: text }).to_string());
    config.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum RootKeyKind {
    #[default]
    File,
    Passphrase,
}

#[derive(Args)]
pub(crate) struct ServeOptions {
    /// A fresh KMS in memory with an AccessKey that is printed; nothing is kept
    #[arg(long)]
    pub(crate) dev: bool,
    /// Serves plain HTTP here [default: 127.0.0.1:8080 and HTTPS on 127.0.0.1:8443]. May be repeated
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) http: Vec<SocketAddr>,
    /// Serves HTTPS here. May be repeated
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) https: Vec<SocketAddr>,
    /// Lets plain HTTP be served beyond this machine: everybody on the way reads plaintexts and data keys
    #[arg(long)]
    pub(crate) allow_plain_http: bool,
    /// The certificate chain for HTTPS, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with_all = ["tls_dir", "tls_name"])]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Where a certificate is made if there is none, and the CA that clients are to trust (ca.pem) [default: tls in the home
    /// folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) tls_dir: Option<PathBuf>,
    /// A name or address that such a certificate is for, beside those of this machine. May be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) tls_name: Vec<String>,
    /// How many seconds the time stamp of a request may be off
    #[arg(long, value_name = "SECONDS", default_value_t = 900, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) skew: u64,
    /// Takes the same signed request more than once
    #[arg(long)]
    pub(crate) allow_replay: bool,
    /// How many clients may be connected at a time
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) connections: u32,
}

#[derive(Subcommand)]
pub(crate) enum AccessKeyCommand {
    /// Makes an AccessKey, and prints its secret: nothing tells it again
    Create {
        /// What it is for
        #[arg(long, default_value = "")]
        comment: String,
        /// How it is printed
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Lists them, without their secrets
    List {
        /// How they are printed
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Lets an AccessKey be used again
    Enable {
        /// Its AccessKeyId
        id: String,
    },
    /// Refuses all requests that it signs, from the next one on
    Disable {
        /// Its AccessKeyId
        id: String,
    },
    /// Removes it for ever
    Delete {
        /// Its AccessKeyId
        id: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{secret, serve};

    #[test]
    fn the_command_line_is_consistent() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn what_the_help_shows_is_taken() {
        for secret in kms_core::params::SECRETS {
            assert!(CALL_HELP.contains(secret), "{secret}");
        }
        let helps = [AFTER_HELP, INIT_HELP, SERVE_HELP, ACCESS_KEY_HELP, CALL_HELP];
        for help in helps {
            let shown: Vec<&str> = help.lines().filter(|line| line.starts_with("  kms ")).collect();
            assert!(!shown.is_empty(), "no example in {help:?}");
            for line in shown {
                let words = line.split_whitespace().map(|word| word.replace('\'', ""));
                let read = Arguments::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
                let makes_sense = match read.command {
                    Command::Serve(options) => serve::checked(*options).is_ok(),
                    Command::Call { parameters, .. } => secret::understood(&parameters).is_ok(),
                    _ => true,
                };
                assert!(makes_sense, "{line}");
            }
        }
    }
}
