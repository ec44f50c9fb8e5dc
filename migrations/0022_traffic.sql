-- What of the participant's traffic is left, kept between two readings as well.

-- Bytes that submissions of ours were about to cost since that reading: until the next one they count as used.
ALTER TABLE traffic_reading ADD COLUMN claimed bigint NOT NULL DEFAULT 0 CHECK (claimed >= 0);
