-- Means of thirty seconds, every ten seconds, by site. The windows come from the settings (size, every), `devices` is a CSV beside this file.
SELECT
  t.window_start,
  t.window_end,
  d.site,
  count(*) AS readings,
  count(DISTINCT t.device_id) AS devices,
  round(avg(t.temperature_c), 2) AS mean_c,
  max(t.temperature_c) AS max_c
FROM telemetry AS t
JOIN devices AS d ON d.device_id = t.device_id
GROUP BY t.window_start, t.window_end, d.site
