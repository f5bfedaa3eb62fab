//! Totals as OpenMetrics text.
