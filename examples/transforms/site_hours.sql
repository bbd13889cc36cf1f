-- One row an hour and site, from the averages: each of these counts in the hour in which its window ends.
SELECT
  window_start,
  window_end,
  site,
  max(value) AS highest,
  min(value) AS lowest,
  count(*) AS averages,
  max(source_window_end) AS newest
FROM site_averages
GROUP BY window_start, window_end, site
