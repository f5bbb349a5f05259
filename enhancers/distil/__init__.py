"""`distil`: the backbone learns the distribution over items that teachers have for each user."""
