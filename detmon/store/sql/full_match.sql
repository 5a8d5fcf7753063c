-- Whether the whole text matches the pattern; RE2, so the time is linear in the text whatever the pattern.
SELECT regexp_full_match($text::VARCHAR, $pattern::VARCHAR, 's')
