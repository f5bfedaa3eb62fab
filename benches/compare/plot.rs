//! How cost grows with size, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::state_metrics::Row;

type Panel = (&'static str, fn(&Row) -> f64);

const PANELS: [Panel; 4] = [
    ("CPU until complete, s", |row| row.cpu_until_complete_s),
    ("resident memory, MB", |row| row.resident_mb),
    ("CPU per plain scrape, s", |row| row.plain.cpu_s),
    ("CPU per gzip scrape, s", |row| row.gzip.cpu_s),
];

/// Told apart without colours too, by their marks.
const COLOURS: [RGBColor; 2] = [RGBColor(0, 90, 181), RGBColor(220, 50, 32)];

/// Four plots in one file, one line for each program.
pub(crate) fn growth(rows: &[Row], path: &Path) -> Result<()> {
    let root = SVGBackend::new(path, (960, 640)).into_drawing_area();
    draw(rows, &root).map_err(|error| anyhow!("{}: {error}", path.display()))
}

fn draw(
    rows: &[Row],
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
) -> Result<(), Box<dyn std::error::Error>> {
    root.fill(&WHITE)?;
    let mut programs: Vec<&str> = rows.iter().map(|row| row.program.as_str()).collect();
    programs.sort_unstable();
    programs.dedup();
    let most_pods = rows.iter().map(|row| row.pods).max().unwrap_or(1) as f64;
    for (area, (title, figure)) in root.split_evenly((2, 2)).iter().zip(PANELS) {
        let most = rows.iter().map(figure).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(32)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..most_pods * 1.05, 0.0..most * 1.1)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("pods")
            .x_labels(6)
            .x_label_formatter(&|pods| format!("{pods:.0}"))
            .draw()?;
        for (index, program) in programs.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let points: Vec<(f64, f64)> =
                rows.iter().filter(|row| row.program == *program).map(|row| (row.pods as f64, figure(row))).collect();
            chart
                .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
                .label(*program)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
            chart.draw_series(points.into_iter().map(|point| -> DynElement<'_, SVGBackend<'_>, (f64, f64)> {
                match index {
                    0 => Circle::new(point, 4, colour.filled()).into_dyn(),
                    _ => TriangleMarker::new(point, 6, colour.filled()).into_dyn(),
                }
            }))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .draw()?;
    }
    root.present()?;
    Ok(())
}
