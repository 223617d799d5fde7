-- Which of the sample's options stood under A, B, …, counted from 0; null where they stood as they are.
ALTER TABLE rollouts ADD COLUMN option_order UTINYINT[];
