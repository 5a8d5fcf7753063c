-- Whether anything is of this model.
SELECT EXISTS (FROM rollup_images WHERE model_id = $id)
  OR EXISTS (FROM alerts WHERE model_id = $id AND deleted_at IS NULL)
  OR EXISTS (FROM engines WHERE model_id = $id)
  OR EXISTS (FROM baselines WHERE model_id = $id)
  OR EXISTS (FROM ab_tests WHERE $id IN (model_a_id, model_b_id))
