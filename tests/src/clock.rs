//! The clocks of the process: the functions' and the local stack's. Both move together.

use std::time::Duration;

pub use platform::clock::now;

/// Lets time pass at once, for the whole process and for good.
pub fn advance(by: Duration) {
    platform::clock::advance(by);
    local_aws::clock::advance(by);
}

/// Sets the wall clocks back, for the whole process and for good. No time passes by that.
pub fn set_back(by: Duration) {
    platform::clock::set_back(by);
    local_aws::clock::set_back(by);
}
