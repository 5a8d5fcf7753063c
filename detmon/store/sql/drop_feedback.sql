DELETE FROM feedback WHERE waiting AND seq IN (SELECT n FROM resolved WHERE fault IS NOT NULL)
