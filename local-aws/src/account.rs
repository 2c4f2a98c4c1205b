//! Where everything on a developer's machine belongs.

/// The account in every ARN.
pub const ACCOUNT_ID: &str = "000000000000";
/// The region of everything.
pub const REGION: &str = "us-east-1";
