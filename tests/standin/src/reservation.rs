//! EC2's events about capacity reservations.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::arn;
use crate::notice::{arn_of, event};
use crate::region::Region;
use crate::timestamp::iso8601;

/// A reservation that takes its instances with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// An interruptible Capacity Reservation: two minutes of notice.
    Interruptible,
    /// A Capacity Block; how long its notice is, is not documented.
    CapacityBlock,
}

/// The interruption warning for an instance in a reservation, with the time when it is terminated where AWS gives one.
///
/// As in AWS's documentation, `resources` is a text for an interruptible reservation and a list for a Capacity Block.
#[must_use]
pub fn reservation_interruption(
    region: &Region,
    instance: &str,
    reservation: Reservation,
    ends: Option<SystemTime>,
) -> Value {
    let mut detail = json!({"instance-id": instance, "instance-action": "terminate"});
    if let Some(ends) = ends {
        detail["instance-termination-time"] = json!(iso8601(ends));
    }
    match reservation {
        Reservation::Interruptible => detail["azId"] = json!("use2-az1"),
        Reservation::CapacityBlock => {
            detail["availability-zone-id"] = json!("use2-az1");
            detail["instance-lifecycle"] = json!("capacity-block");
        }
    }
    let (kind, arn) = ("EC2 Capacity Reservation Instance Interruption Warning", arn_of(region, instance));
    let mut event = event(region, kind, &arn, &detail, SystemTime::now());
    if reservation == Reservation::Interruptible {
        event["resources"] = json!(arn);
    }
    event
}

/// The warning that a Capacity Block ends, 40 minutes before it does, under both names that AWS documents. It names no
/// instance.
#[must_use]
pub fn capacity_block_expirations(region: &Region, reservation: &str, ends: SystemTime) -> [Value; 2] {
    let arn = arn::arn("ec2", region.name(), region.account(), &format!("capacity-reservation/{reservation}"));
    let detail = json!({"capacity-reservation-id": reservation, "end-date": iso8601(ends)});
    ["Capacity Block Reservation Expiration Warning", "Capacity Block Expiration Warning"]
        .map(|kind| event(region, kind, &arn, &detail, SystemTime::now()))
}
