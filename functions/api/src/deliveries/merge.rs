//! One list made of several.

use domain::Delivery;
use store::DeliveryCursor;
use store::deliveries::DeliveryPage;

/// The page of all these pages together, newest first, with at most `limit` deliveries.
pub(super) fn merge(pages: Vec<DeliveryPage>, limit: usize) -> DeliveryPage {
    let place = DeliveryCursor::of_delivery;
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

#[cfg(test)]
mod tests {
    use domain::delivery::Owed;
    use domain::{DeliveryId, DeliveryStatus, EndpointId, EventId, Millis, Source, TimeScale};

    use super::*;

    /// One that ended at this time.
    fn delivery(at: u64) -> Delivery {
        let event = EventId::of_content(&[b"m"], 0, &[&at.to_be_bytes()], 0);
        let owed = Owed {
            id: DeliveryId::new(event, EndpointId::new([0; 16])),
            event_type: "a".to_owned(),
            source: Source::Api,
            keep_ms: 0,
            due_at: None,
        };
        Delivery {
            status: DeliveryStatus::Failed,
            settled_at: Some(Millis(at)),
            due_at: None,
            ..Delivery::new(&owed, Millis(0), TimeScale::default())
        }
    }

    fn page(times: &[u64], next: Option<u64>) -> DeliveryPage {
        DeliveryPage {
            deliveries: times.iter().copied().map(delivery).collect(),
            next: next.map(|at| DeliveryCursor::of_delivery(&delivery(at))),
        }
    }

    fn at(delivery: &Delivery) -> u64 {
        DeliveryCursor::of_delivery(delivery).at().0
    }

    fn times(page: &DeliveryPage) -> (Vec<u64>, Option<u64>) {
        let times = page.deliveries.iter().map(at);
        (times.collect(), page.next.map(|next| next.at().0))
    }

    #[test]
    fn pages_are_one_newest_first() {
        let merged = merge(
            vec![page(&[9, 5], None), page(&[], None), page(&[7], None)],
            10,
        );
        assert_eq!(times(&merged), (vec![9, 7, 5], None));
    }

    #[test]
    fn what_lies_behind_the_end_of_a_page_is_left_to_the_next() {
        // Of the first list nobody knows what comes after 8.
        let merged = merge(vec![page(&[9, 8], Some(8)), page(&[10, 7, 6], None)], 10);
        assert_eq!(times(&merged), (vec![10, 9, 8], Some(8)));
        // A page may have nothing to show and go on all the same.
        let merged = merge(vec![page(&[], Some(8)), page(&[7], None)], 10);
        assert_eq!(times(&merged), (vec![], Some(8)));
    }

    #[test]
    fn a_page_ends_at_its_limit() {
        let merged = merge(vec![page(&[9, 8], Some(8)), page(&[10, 7], None)], 2);
        assert_eq!(times(&merged), (vec![10, 9], Some(9)));
        let merged = merge(vec![page(&[2], None), page(&[1], None)], 2);
        assert_eq!(times(&merged), (vec![2, 1], None));
    }
}
