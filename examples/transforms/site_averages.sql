-- Averages of ten seconds, every five seconds, by site. Lengths are in the settings (size, every); devices is a CSV file beside this one.
SELECT
  r.window_start,
  r.window_end,
  d.site,
  round(avg(r.value + d.calibration), 3) AS value,
  approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY r.value) AS p90,
  count(*) AS readings
FROM readings AS r
JOIN devices AS d ON d.device = r.device
GROUP BY r.window_start, r.window_end, d.site
