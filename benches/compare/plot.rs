//! Plots, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// One plot: a line for each program.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x_title: &'static str,
    pub(crate) lines: Vec<Line>,
}

/// The points of one program.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Told apart without colours too, by their marks.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 90, 181), RGBColor(220, 50, 32), RGBColor(0, 130, 90), RGBColor(120, 60, 160)];
const COLUMNS: usize = 3;
const WIDTH: u32 = 400;
/// Where the names of all lines are.
const HEAD: u32 = 36;
const HEIGHT: u32 = 280;

/// All plots in one file.
pub(crate) fn write(panels: &[Panel], path: &Path) -> Result<()> {
    std::fs::write(path, svg(panels)?).map_err(|error| anyhow!("{}: {error}", path.display()))
}

/// All plots, side by side in rows.
pub(crate) fn svg(panels: &[Panel]) -> Result<String> {
    let columns = COLUMNS.min(panels.len().max(1));
    let rows = panels.len().div_ceil(columns).max(1);
    let size = (u32::try_from(columns)? * WIDTH, u32::try_from(rows)? * HEIGHT + HEAD);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(panels, &root, (rows, columns)).map_err(|error| anyhow!("a plot could not be drawn: {error}"))?;
    }
    Ok(text)
}

fn draw(
    panels: &[Panel],
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    grid: (usize, usize),
) -> Result<(), Box<dyn std::error::Error>> {
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(HEAD);
    // All have the same lines: their names stand above, where they hide no point.
    let names = panels.first().map(|panel| panel.lines.as_slice()).unwrap_or_default();
    let step = (i32::try_from(head.dim_in_pixel().0)? / i32::try_from(names.len().max(1))?).min(300);
    for (index, line) in names.iter().enumerate() {
        let (at, colour) = (i32::try_from(index)? * step + 20, COLOURS[index % COLOURS.len()]);
        let middle = i32::try_from(HEAD / 2)?;
        head.draw(&PathElement::new([(at, middle), (at + 28, middle)], colour.stroke_width(2)))?;
        head.draw(&(EmptyElement::at((at + 14, middle)) + mark(index)))?;
        let style = TextStyle::from(("sans-serif", 14).into_font()).pos(Pos::new(HPos::Left, VPos::Center));
        head.draw(&Text::new(line.name.clone(), (at + 36, middle), style))?;
    }
    for (area, panel) in body.split_evenly(grid).iter().zip(panels) {
        let points = || panel.lines.iter().flat_map(|line| &line.points).filter(|point| point.1.is_finite());
        let most_x = points().map(|point| point.0).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let most_y = points().map(|point| point.1).fold(0.0, f64::max);
        // Where all is nothing, that is seen as a line at the bottom.
        let most_y = if most_y > 0.0 { most_y } else { 1.0 };
        let mut chart = ChartBuilder::on(area)
            .caption(&panel.title, ("sans-serif", 16))
            .margin(10)
            .x_label_area_size(34)
            .y_label_area_size(54)
            .build_cartesian_2d(0.0..most_x * 1.08, 0.0..most_y * 1.15)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .label_style(("sans-serif", 12))
            .axis_desc_style(("sans-serif", 12))
            .x_desc(panel.x_title)
            .x_labels(5)
            .y_labels(6)
            .x_label_formatter(&|x| thousands(*x))
            .y_label_formatter(&|y| round(*y))
            .draw()?;
        for (index, line) in panel.lines.iter().enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let finite: Vec<(f64, f64)> = line.points.iter().copied().filter(|point| point.1.is_finite()).collect();
            chart.draw_series(LineSeries::new(finite.clone(), colour.stroke_width(2)))?;
            chart.draw_series(finite.into_iter().map(|point| EmptyElement::at(point) + mark(index)))?;
        }
    }
    root.present()?;
    Ok(())
}

/// What a line's points are drawn as.
fn mark<'a>(index: usize) -> DynElement<'static, SVGBackend<'a>, (i32, i32)> {
    let colour = COLOURS[index % COLOURS.len()];
    match index % COLOURS.len() {
        0 => Circle::new((0, 0), 4, colour.filled()).into_dyn(),
        1 => TriangleMarker::new((0, 0), 6, colour.filled()).into_dyn(),
        2 => Cross::new((0, 0), 4, colour.stroke_width(2)).into_dyn(),
        _ => Circle::new((0, 0), 4, colour.stroke_width(2)).into_dyn(),
    }
}

/// `50000` → `50k`
fn thousands(value: f64) -> String {
    if value >= 1000.0 { format!("{}k", round(value / 1000.0)) } else { round(value) }
}

/// Without the digits that only say how numbers are kept.
fn round(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(points: &[(f64, f64)]) -> Panel {
        let line = |name: &str| Line { name: name.to_owned(), points: points.to_vec() };
        Panel { title: "CPU < 1 & more, s".to_owned(), x_title: "pods", lines: vec![line("ours"), line("peer")] }
    }

    /// Opened elements, in order; that all are closed is what is asserted.
    fn elements(svg: &str) -> Vec<String> {
        let (mut open, mut all) = (Vec::new(), Vec::new());
        let mut rest = svg;
        while let Some((_, tag)) = rest.split_once('<') {
            let (tag, after) = tag.split_once('>').expect("a tag ends");
            rest = after;
            if tag.starts_with(['?', '!']) {
                continue;
            }
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop().as_deref(), Some(name), "closed in another order");
                continue;
            }
            let name = tag.split([' ', '\n', '/']).next().unwrap_or_default().to_owned();
            assert_eq!(tag.matches('"').count() % 2, 0, "quotes of {tag}");
            all.push(name.clone());
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert_eq!(open, Vec::<String>::new(), "never closed");
        all
    }

    #[test]
    fn plots_are_well_formed_and_have_all_marks() {
        let svg = svg(&vec![panel(&[(1000.0, 1.0), (50_000.0, 30.0)]); 4]).unwrap();
        let elements = elements(&svg);
        assert_eq!(elements.first().map(String::as_str), Some("svg"));
        let count = |name: &str| elements.iter().filter(|element| *element == name).count();
        // Two points in each of four plots, and the mark beside the name.
        assert_eq!((count("circle"), count("polygon")), (9, 9));
        assert!(svg.contains("&lt; 1 &amp; more") && svg.contains("40k"), "{svg}");
        assert!(svg.contains("width=\"1200\" height=\"596\""));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn nothing_and_what_is_no_number_can_be_drawn() {
        elements(&svg(&[]).unwrap());
        let svg = svg(&[panel(&[(0.0, 0.0), (1.0, f64::NAN)]), panel(&[])]).unwrap();
        elements(&svg);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn axes_have_short_numbers() {
        assert_eq!(["50k", "1.5k", "999", "0"].map(str::to_owned), [50_000.0, 1_500.0, 999.0, 0.0].map(thousands));
        assert_eq!(round(0.000_04), "0");
        assert_eq!(round(0.25), "0.25");
    }
}
