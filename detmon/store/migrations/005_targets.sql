-- What a target is like, as it was when it was first told of an episode: that decides what it hears of it later.
ALTER TABLE alert_notified ADD COLUMN stateful BOOLEAN DEFAULT false;
ALTER TABLE alert_notified ADD COLUMN refresh BOOLEAN DEFAULT false;
