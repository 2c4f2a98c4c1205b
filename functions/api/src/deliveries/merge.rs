//! One list made of several.

use domain::{Delivery, Millis};
use store::DeliveryCursor;
use store::deliveries::DeliveryPage;

/// Where a delivery stands in a list.
pub(super) fn place(delivery: &Delivery) -> DeliveryCursor {
    DeliveryCursor {
        at: delivery.settled_at.or(delivery.due_at).unwrap_or(Millis(0)),
        delivery: delivery.id,
        attempt: 0,
    }
}

/// The page of all these pages together, newest first, with at most `limit` deliveries.
pub(super) fn merge(pages: Vec<DeliveryPage>, limit: usize) -> DeliveryPage {
    // What lies behind the end of any page is not known of all lists, and is left to the next.
    let end = pages.iter().filter_map(|page| page.next).max();
    let mut deliveries: Vec<Delivery> = pages
        .into_iter()
        .flat_map(|page| page.deliveries)
        .filter(|delivery| end.is_none_or(|end| place(delivery) >= end))
        .collect();
    deliveries.sort_unstable_by_key(|delivery| std::cmp::Reverse(place(delivery)));
    let is_cut = deliveries.len() > limit;
    deliveries.truncate(limit);
    let last = deliveries.last().map(place);
    DeliveryPage {
        next: if is_cut { last } else { end },
        deliveries,
    }
}
